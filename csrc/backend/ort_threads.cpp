#include "backend/ort_threads.h"

#include <atomic>
#include <thread>
#include <utility>

#include "backend/ort_status.h"
#include "base/error.h"
#include "base/parker.h"
#include "base/start_thread.h"

namespace inferkit::ort {

// A thread that waits to be told what to do, does it and ends.
// Threads: tell() once, by whoever owns it. Blocks: the destructor, until it has ended.
struct OwnThread {
  OwnThread() : thread_(start_thread([this] { wait_and_work(); })) {}
  ~OwnThread() {
    if (told_.load(std::memory_order_relaxed) == 0) tell(nullptr, nullptr);
    thread_.join();
  }

  void tell(void (*work)(void*), void* of_work) {
    work_ = work;
    of_work_ = of_work;
    told_.store(1, std::memory_order_release);  // pairs with wait_and_work()
    parker::wake(told_, 1);
  }

 private:
  void wait_and_work() {
    while (told_.load(std::memory_order_acquire) == 0) parker::wait(told_, 0, kNever);
    if (work_ != nullptr) work_(of_work_);
  }

  std::atomic<std::uint32_t> told_{0};
  void (*work_)(void*) = nullptr;
  void* of_work_ = nullptr;
  std::thread thread_;  // last: it runs from here on
};

namespace {

void join(OwnThread* one) { delete one; }

}  // namespace

PoolThreads::PoolThreads() = default;
PoolThreads::~PoolThreads() = default;

PoolThreads::PoolThreads(std::uint32_t count) : PoolThreads() {
  while (parked_.size() < count) parked_.push_back(std::make_unique<OwnThread>());
}

// What it throws passes through ONNX Runtime, as it does where that starts a thread itself.
OwnThread* PoolThreads::take(void* of, void (*work)(void*), void* of_work) {
  auto& parked = static_cast<PoolThreads*>(of)->parked_;
  std::unique_ptr<OwnThread> one;
  if (parked.empty()) {
    one = std::make_unique<OwnThread>();
  } else {
    one = std::move(parked.back());
    parked.pop_back();
  }
  one->tell(work, of_work);
  return one.release();
}

void PoolThreads::serve(const Api& api, SessionOptions* options) {
  const auto must = [&api](Status* status, const char* doing) {
    check(api, status, ErrorCode::model_load, doing);
  };
  must(api.SessionOptionsSetCustomThreadCreationOptions(options, this), "start its threads");
  must(api.SessionOptionsSetCustomCreateThreadFn(options, &take), "start its threads");
  must(api.SessionOptionsSetCustomJoinThreadFn(options, &join), "end its threads");
}

}  // namespace inferkit::ort
