#include "base/clock.h"

#include <chrono>

#include "base/forever.h"

namespace inferkit {
namespace {

class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimeNs now() const noexcept override {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  }
};

constinit Forever<SteadyClock> the_clock;

}  // namespace

const Clock& steady_clock() noexcept { return the_clock.value; }

}  // namespace inferkit
