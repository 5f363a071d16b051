// A clock that moves when the test says so.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace inferkit {

// Starts at a millisecond, long past on the machine's clock: a thread that sleeps until a time of
// this clock polls it instead, so that advance() needs to wake nobody.
// Threads: any. Blocks: never.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] TimeNs now() const noexcept override {
    return now_.load(std::memory_order_acquire);  // acquire: pairs with advance()
  }
  void advance(DurationNs by) noexcept { now_.fetch_add(by, std::memory_order_release); }

 private:
  std::atomic<TimeNs> now_{kMillisecond};
};

}  // namespace inferkit
