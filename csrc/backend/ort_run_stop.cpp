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
  told_ = true;
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
  told_ = false;
}

// ONNX Runtime's own word is no atomic and says nothing. But it is written under the mutex, so
// whose run it has ended comes here after the one who wrote it.
bool RunStop::told() const noexcept {
  const std::lock_guard lock(mutex_);
  return told_;
}

}  // namespace inferkit::ort
