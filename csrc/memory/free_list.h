// A stack of small integers that any thread may push to and pop from.
#pragma once

#include <cstdint>

#include "base/atom.h"

namespace inferkit {

// A Treiber stack of node numbers. `Nodes` has `Atomic<uint32_t>& next(uint32_t)`; a node's
// memory stays readable for ever, popped or not.
// Threads: any, lock-free (tests/cpp/memory/free_list_test.cpp). Blocks: never. Throws: never.
template <class Atom>
class alignas(kCacheLineBytes) FreeList {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;

  template <class Nodes>
  void push(Nodes& nodes, std::uint32_t node) noexcept {
    // relaxed: only the number is used, and the CAS below checks that it is still the head.
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      // relaxed: published by the CAS.
      nodes.next(node).store(node_of(head), std::memory_order_relaxed);
      // release: pairs with the acquire in pop(): the popper sees what the pusher left in the node.
    } while (!head_.compare_exchange_weak(head, pack(tag_of(head), node), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // kNone when empty.
  template <class Nodes>
  [[nodiscard]] std::uint32_t pop(Nodes& nodes) noexcept {
    // acquire: pairs with the release in push(). Every change of the head is a read-modify-write,
    // so one acquire sees all pushes of the chain, not just the last.
    std::uint64_t head = head_.load(std::memory_order_acquire);
    while (node_of(head) != kNone) {
      // relaxed: may read the value of a later push if the node was popped meanwhile; then the
      // tag has moved on and the CAS fails. 2^32 pops in that window are out of reach.
      const std::uint32_t next = nodes.next(node_of(head)).load(std::memory_order_relaxed);
      // relaxed: every pop changes the tag, so this is the head that the load, or the failure
      // before, has acquired.
      if (head_.compare_exchange_weak(head, pack(tag_of(head) + 1, next), std::memory_order_relaxed,
                                      std::memory_order_acquire)) {
        return node_of(head);
      }
    }
    return kNone;
  }

 private:
  static constexpr std::uint64_t pack(std::uint32_t tag, std::uint32_t node) noexcept {
    return std::uint64_t{tag} << 32 | node;
  }
  static constexpr std::uint32_t node_of(std::uint64_t head) noexcept {
    return static_cast<std::uint32_t>(head);
  }
  static constexpr std::uint32_t tag_of(std::uint64_t head) noexcept {
    return static_cast<std::uint32_t>(head >> 32);
  }

  typename Atom::template Atomic<std::uint64_t> head_{pack(Atom::counts_from(), kNone)};
};

}  // namespace inferkit
