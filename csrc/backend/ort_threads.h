// The threads of ONNX Runtime's pools, started by us.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/ort_abi.h"

namespace inferkit::ort {

struct OwnThread;

// What the pools of a session will run on, started before ONNX Runtime has any thread: where the
// system refuses it a later one, it waits for ever for those that it has (1.22 to 1.32).
// Threads: one at a time. Owns: the threads that nobody took. Blocks: the destructor, for their
// end. Throws: Error(system_limit), std::bad_alloc.
class PoolThreads {
 public:
  explicit PoolThreads(std::uint32_t count);
  ~PoolThreads();
  PoolThreads(const PoolThreads&) = delete;
  PoolThreads& operator=(const PoolThreads&) = delete;

  // A session of these options takes its threads from here, and, where they do not suffice, from
  // start_thread(). *this must live until it is created. Throws: Error(model_load).
  void serve(const Api& api, SessionOptions* options);

 private:
  PoolThreads();
  static OwnThread* take(void* of, void (*work)(void*), void* of_work);

  std::vector<std::unique_ptr<OwnThread>> parked_;
};

}  // namespace inferkit::ort
