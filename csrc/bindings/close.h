// SessionCore.close().
#pragma once

namespace inferkit {

// Adds the method to the session type. False with an exception set.
[[nodiscard]] bool add_close();

}  // namespace inferkit
