#include "backend/ort_threads.h"

#include <memory>
#include <thread>

#include "backend/ort_status.h"
#include "base/error.h"
#include "base/start_thread.h"

namespace inferkit::ort {

struct OwnThread {
  std::thread thread;
};

namespace {

// What it throws passes through ONNX Runtime, as it does where that starts a thread itself.
OwnThread* start(void* /*ours*/, void (*work)(void*), void* of_work) {
  auto made = std::make_unique<OwnThread>();
  made->thread = start_thread([work, of_work] { work(of_work); });
  return made.release();
}

void join(OwnThread* made) {
  made->thread.join();
  delete made;
}

}  // namespace

void start_threads_ourselves(const Api& api, SessionOptions* options) {
  check(api, api.SessionOptionsSetCustomCreateThreadFn(options, &start), ErrorCode::model_load,
        "start its threads");
  check(api, api.SessionOptionsSetCustomJoinThreadFn(options, &join), ErrorCode::model_load,
        "end its threads");
}

}  // namespace inferkit::ort
