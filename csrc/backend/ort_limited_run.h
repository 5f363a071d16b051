// A run that may not take all the time and memory there is.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "backend/backend.h"
#include "backend/ort_abi.h"
#include "backend/ort_handle.h"
#include "backend/ort_memory.h"

namespace inferkit::ort {

// Run options for one run, on the thread that makes this and while it lives: a thread of its own
// ends the run at the model's next operator when the time is over; memory beyond the limit fails
// it. Not for a request's path.
// Threads: one. Owns: options and thread. Blocks: the destructor, for the thread to end.
// Throws: the constructor, Error(backend), Error(system_limit).
class LimitedRun {
 public:
  LimitedRun(const Api& api, RunLimits& limits);
  ~LimitedRun();
  LimitedRun(const LimitedRun&) = delete;
  LimitedRun& operator=(const LimitedRun&) = delete;

  [[nodiscard]] RunOptions* options() const noexcept { return options_.get(); }

 private:
  void end_at(TimeNs until) noexcept;

  const Api& api_;
  Handle<RunOptions> options_;
  Ration ration_;
  std::atomic<std::uint32_t> over_{0};
  std::thread timer_;
};

}  // namespace inferkit::ort
