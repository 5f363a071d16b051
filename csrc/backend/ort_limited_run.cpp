#include "backend/ort_limited_run.h"

#include "backend/ort_status.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/parker.h"
#include "base/start_thread.h"
#include "base/thread_setup.h"

namespace inferkit::ort {

LimitedRun::LimitedRun(const Api& api, RunLimits& limits)
    : api_(api), options_(api), ration_(limits.bytes) {
  check(api, api.CreateRunOptions(options_.out()), ErrorCode::backend, "create run options");
  if (limits.time == kNever) return;
  const TimeNs until = steady_clock().now() + limits.time;
  timer_ = start_thread([this, until] {
    prepare_own_thread("inferkit-limit");
    end_at(until);
  });
}

LimitedRun::~LimitedRun() {
  over_.store(1, std::memory_order_relaxed);  // the timer looks for nothing else
  parker::wake(over_, 1);
  if (timer_.joinable()) timer_.join();
}

void LimitedRun::end_at(TimeNs until) noexcept {
  while (over_.load(std::memory_order_relaxed) == 0) {
    if (steady_clock().now() < until) {
      parker::wait(over_, 0, until);
      continue;
    }
    if (Status* const failure = api_.RunOptionsSetTerminate(options_.get())) {
      api_.ReleaseStatus(failure);
    }
    return;
  }
}

}  // namespace inferkit::ort
