#include "backend/ort_run_stop.h"

#include "backend/ort_status.h"
#include "base/error.h"

namespace inferkit::ort {

RunStop::RunStop(const Api& api) : api_(api), options_(api) {
  check(api_, api_.CreateRunOptions(options_.out()), ErrorCode::model_load, "create run options");
}

void RunStop::stop(bool for_good) noexcept {
  const std::lock_guard lock(mutex_);
  for_good_ = for_good_ || for_good;
  told_.store(true, std::memory_order_relaxed);
  // ONNX Runtime's word is no atomic. With the fence in told(): whose run that word has ended, sees
  // ours.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (Status* const failure = api_.RunOptionsSetTerminate(options_.get())) {
    api_.ReleaseStatus(failure);
  }
}

void RunStop::resume() noexcept {
  const std::lock_guard lock(mutex_);
  if (for_good_) return;
  if (Status* const failure = api_.RunOptionsUnsetTerminate(options_.get())) {
    api_.ReleaseStatus(failure);
  }
  told_.store(false, std::memory_order_relaxed);
}

bool RunStop::told() const noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return told_.load(std::memory_order_relaxed);
}

}  // namespace inferkit::ort
