#include "base/fork_mutex.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "base/fork_gate.h"

namespace inferkit {

// Threads: any.
struct ForkMutexList {
  std::mutex mutex;
  ForkMutex* first = nullptr;  // under mutex

  void add(ForkMutex& one) {
    const std::lock_guard lock(mutex);
    one.next_ = first;
    if (first != nullptr) first->before_ = &one;
    first = &one;
  }

  void remove(ForkMutex& one) {
    const std::lock_guard lock(mutex);
    (one.before_ != nullptr ? one.before_->next_ : first) = one.next_;
    if (one.next_ != nullptr) one.next_->before_ = one.before_;
  }

  void hold() {
    close_fork_gate(kForkWait);  // first: who is inside takes, makes and destroys others
    mutex.lock();
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->lock();
  }

  void let_go() {
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->unlock();
    mutex.unlock();
  }
};

namespace {

constinit ForkMutexList of_process;

#if defined(__unix__) || defined(__APPLE__)
// As the library is loaded: done later it would take a lock, which a fork could copy locked. Fails
// without memory only; then a fork is as dangerous as with any other mutex.
[[maybe_unused]] const int watching = pthread_atfork([] { of_process.hold(); },
                                                     [] {
                                                       of_process.let_go();
                                                       open_fork_gate();
                                                     },
                                                     [] {
                                                       of_process.let_go();
                                                       open_fork_gate_in_child();
                                                     });
#endif

}  // namespace

ForkMutex::ForkMutex() { of_process.add(*this); }
ForkMutex::~ForkMutex() { of_process.remove(*this); }

}  // namespace inferkit
