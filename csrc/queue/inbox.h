// Many producers hand records to one consumer, which takes them all at once.
#pragma once

#include <atomic>

#include "base/atom.h"

namespace inferkit {

// An intrusive list: push is a CAS loop on the head, drain one exchange. Nodes are never popped
// singly, so the head needs no tag against reuse. T has a plain member `T* next`, which belongs
// to the list from push() until drain() returned the node.
// Threads: push from any; drain from the one consumer. Blocks: never. Bounded by who owns nodes.
template <class Atom, class T>
class Inbox {
 public:
  // True when the list was empty before: the pusher who sees that owes the consumer a wake.
  bool push(T* node) noexcept {
    // relaxed: only the address is used until the CAS publishes it.
    T* head = head_.load(std::memory_order_relaxed);
    do {
      node->next = head;
      // release: pairs with drain's acquire, which then sees the node's contents.
    } while (!head_.compare_exchange_weak(head, node, std::memory_order_release,
                                          std::memory_order_relaxed));
    return head == nullptr;
  }

  // All nodes, oldest first, linked by `next`; null when there are none.
  [[nodiscard]] T* drain() noexcept {
    // relaxed: an empty answer promises nothing; the ring protocol covers a push after it.
    if (head_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    // acquire: pairs with push's release.
    T* newest = head_.exchange(nullptr, std::memory_order_acquire);
    T* oldest = nullptr;
    while (newest != nullptr) {
      T* older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    return oldest;
  }

 private:
  alignas(kCacheLineBytes) typename Atom::template Atomic<T*> head_{nullptr};
};

}  // namespace inferkit
