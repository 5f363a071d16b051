// SessionCore.stats(): the engine's counters as inferkit.Stats.
#pragma once

namespace inferkit {

// Adds the method to the session type. False with an exception set.
[[nodiscard]] bool add_stats();

}  // namespace inferkit
