// A mutex that a forked child finds free.
#pragma once

#include <mutex>

namespace inferkit {

// Whoever forks holds all of these meanwhile, so that no thread which the child does not have is
// inside one, and what they guard is in order there.
// Threads: any. Owns: its place in the process's list of them.
// Blocks: lock(), also for a fork; a fork, for every holder, after those of base/fork_gate.h. None
// may fork, or make or destroy another one, holding one.
class ForkMutex {
 public:
  ForkMutex();
  ~ForkMutex();
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;

  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  ForkMutex* next_ = nullptr;
  ForkMutex* before_ = nullptr;

  friend struct ForkMutexList;
};

}  // namespace inferkit
