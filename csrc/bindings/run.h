// SessionCore.run: a caller that blocks for its answer.
#pragma once

namespace inferkit {

// Adds the method to the session type. False with an exception set.
[[nodiscard]] bool add_run();

}  // namespace inferkit
