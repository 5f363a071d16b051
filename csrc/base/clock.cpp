#include "base/clock.h"

#include <chrono>

namespace inferkit {
namespace {

class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimeNs now() const noexcept override {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  }
};

}  // namespace

const Clock& steady_clock() noexcept {
  static const SteadyClock clock;
  return clock;
}

}  // namespace inferkit
