// What an engine sees to now and then, request or not.
#pragma once

#include "base/clock.h"
#include "memory/recent_peak.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// Memory that nobody needs any more goes back to the system some seconds after the last who did.
// Threads: wanted() by any; run() by the keeper. Owns: nothing. Blocks: run(), as the system does.
class Upkeep {
 public:
  // Longer than the window, or a look that comes a moment early would find it not yet over.
  static constexpr DurationNs kEvery = RecentPeak<StdAtom>::kWindow + kSecond / 2;

  // `runs`: where the model computes; may be null.
  Upkeep(TensorPool& own, TensorPool* runs) noexcept : own_(own), runs_(runs) {}

  [[nodiscard]] bool wanted() const noexcept {
    return own_.may_grow_older() || (runs_ != nullptr && runs_->may_grow_older());
  }

  void run() noexcept {
    own_.grow_older();
    if (runs_ != nullptr) runs_->grow_older();
  }

 private:
  TensorPool& own_;
  TensorPool* const runs_;
};

}  // namespace inferkit
