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

// Never destroyed, and there from the start: no thread makes it while another forks.
union Forever {
  constexpr Forever() : clock() {}
  ~Forever() {}
  SteadyClock clock;
};
constinit Forever forever;

}  // namespace

const Clock& steady_clock() noexcept { return forever.clock; }

}  // namespace inferkit
