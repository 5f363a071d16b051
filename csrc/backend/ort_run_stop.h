// How a run is told to end.
#pragma once

#include <mutex>

#include "backend/ort_abi.h"
#include "backend/ort_handle.h"

namespace inferkit::ort {

// The run options of one instance, and the word in them that ends its runs. ONNX Runtime looks at
// it between two operators: one that runs is waited for.
// Threads: stop() and told() from any; resume() while nothing runs with the options.
// Owns: the options. Blocks: never for long; a run that does not fail takes no mutex.
// Throws: the constructor, Error(model_load).
class RunStop {
 public:
  explicit RunStop(const Api& api);

  [[nodiscard]] RunOptions* options() const noexcept { return options_.get(); }

  // The run in progress ends, or else the next one. For good: and all later ones.
  void stop(bool for_good) noexcept;
  // Nothing, once it was for good.
  void resume() noexcept;
  // By whose run has failed: whether that may be why.
  [[nodiscard]] bool told() const noexcept;

 private:
  const Api& api_;
  Handle<RunOptions> options_;
  mutable std::mutex mutex_;  // of what follows, and of the word in the options
  bool for_good_ = false;
  bool told_ = false;
};

}  // namespace inferkit::ort
