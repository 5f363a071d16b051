#include "memory/fork_mutex.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace inferkit {

// Threads: any. Never destroyed: threads may fork while the process ends.
struct ForkMutexList {
  std::mutex mutex;
  ForkMutex* first = nullptr;

  static ForkMutexList& of_process() {
    static ForkMutexList& list = *[] {
      auto* const made = new ForkMutexList;
#if defined(__unix__) || defined(__APPLE__)
      // Fails without memory only; then a fork is as dangerous as with any other mutex.
      static_cast<void>(pthread_atfork([] { of_process().hold(); }, [] { of_process().let_go(); },
                                       [] { of_process().let_go(); }));
#endif
      return made;
    }();
    return list;
  }

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
    mutex.lock();
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->lock();
  }

  void let_go() {
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->unlock();
    mutex.unlock();
  }
};

ForkMutex::ForkMutex() { ForkMutexList::of_process().add(*this); }
ForkMutex::~ForkMutex() { ForkMutexList::of_process().remove(*this); }

}  // namespace inferkit
