#include "base/start_thread.h"

#include <mutex>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/fork_mutex.h"

namespace inferkit {
namespace {

// Made as the library is loaded and never destroyed: threads are started until the very end.
ForkMutex& starting = *new ForkMutex;

}  // namespace

std::thread start_thread(std::function<void()> work) {
  try {
    const std::lock_guard lock(starting);
    return std::thread(std::move(work));
  } catch (const std::system_error& refusal) {
    throw Error(ErrorCode::system_limit, text("the system refused a thread: ", refusal.what()),
                refusal.code().value());
  }
}

}  // namespace inferkit
