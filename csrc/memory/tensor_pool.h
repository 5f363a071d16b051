// The pool that every tensor's bytes come from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/atom.h"
#include "base/clock.h"
#include "base/error.h"
#include "memory/block.h"
#include "memory/chunk_store.h"
#include "memory/lent.h"
#include "memory/pool_stats.h"
#include "memory/resource.h"

namespace inferkit {

// Blocks below 4 KiB are aligned to 64 bytes, others to the page. Contents are whatever was there
// before; the testing variant fills with kStaleByte on both ends of a block's life.
// Threads: any. Reusing a block takes no lock, no syscall, no heap: tensor_pool_hot_path_test.cpp;
// releasing a large one may give memory back to the system.
// Owns: all memory. Blocks may outlive the handle: the last of {handle, blocks} frees everything.
// A child of fork() goes on with its copy.
// Blocks: an allocation without a free block, trim(), grow_older() and close() take a mutex and ask
// the system. Throws: allocate() only.
template <class Atom>
class BasicTensorPool {
 public:
  struct Close {
    void operator()(BasicTensorPool* pool) const noexcept { pool->close(); }
  };
  using Ref = std::unique_ptr<BasicTensorPool, Close>;

  static constexpr std::byte kStaleByte{0xDB};

  // `resource` outlives every block. The budget counts bytes asked from the resource, chunks and
  // rounding included, and what was charged; descriptors (64 bytes a block) come on top.
  [[nodiscard]] static Ref create(MemoryResource& resource, std::size_t budget_bytes,
                                  const Clock& clock = steady_clock()) {
    return Ref(new BasicTensorPool(resource, std::min(budget_bytes, kLargestBlockBytes), clock));
  }

  BasicTensorPool(const BasicTensorPool&) = delete;
  BasicTensorPool& operator=(const BasicTensorPool&) = delete;

  // Never empty; zero bytes give a block too. Throws: Error(out_of_memory) when the blocks in use
  // leave no room in the budget, which it names, or when the system refuses memory.
  [[nodiscard]] BlockRef allocate(std::size_t bytes) {
    Shortage shortage = Shortage::none;
    BlockRef block = take(bytes, shortage);
    if (shortage != Shortage::none) refuse(bytes, shortage);
    return block;
  }

  // Empty where allocate() would throw.
  [[nodiscard]] BlockRef try_allocate(std::size_t bytes) noexcept {
    Shortage shortage = Shortage::none;
    return take(bytes, shortage);
  }

  // Memory that others made counts as this pool's until discharged, which keeps the pool alive.
  // False: the budget has no room for it.
  [[nodiscard]] bool charge(std::uint64_t bytes) noexcept {
    if (!store_.charge(bytes)) return false;
    lent_.add(0);
    return true;
  }
  void discharge(std::uint64_t bytes) noexcept {
    store_.discharge(bytes);
    let_go(0);
  }

  // Gives back every chunk that no block in use lies in.
  void trim() noexcept { store_.trim(); }

  // Large blocks that nobody needed of late go back, but for a little: call it every few seconds
  // while may_grow_older(). Best on a thread that nobody waits for.
  void grow_older() noexcept { store_.grow_older(); }
  [[nodiscard]] bool may_grow_older() const noexcept { return store_.may_grow_older(); }
  // Of what is lent so many bytes more, or less, are there to stay: no measure of what runs need.
  void count_resident(std::int64_t bytes) noexcept { store_.count_resident(bytes); }

  [[nodiscard]] std::size_t budget_bytes() const noexcept { return store_.budget_bytes(); }

  [[nodiscard]] PoolStats stats() const noexcept {
    // relaxed: numbers for people.
    return {.bytes_reserved = store_.bytes_held(),
            .bytes_in_use = lent_.bytes() + store_.bytes_charged(),
            .blocks_in_use = lent_.keepers() - 1,  // one is the handle
            .allocations = allocations_.load(std::memory_order_relaxed),
            .misses = store_.misses()};
  }

 private:
  using SlotT = Slot<Atom>;
  template <class T>
  using Atomic = typename Atom::template Atomic<T>;

  BasicTensorPool(MemoryResource& resource, std::size_t budget_bytes, const Clock& clock)
      : store_(resource, budget_bytes, lent_, clock) {
    lent_.add(0);
  }
  ~BasicTensorPool() = default;

  BlockRef take(std::size_t bytes, Shortage& shortage) noexcept {
    SlotT* const slot = store_.take(bytes, shortage);
    if (slot == nullptr) return {};
    lent_.add(slot->size_bytes);
    allocations_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    slot->owner = this;
    slot->recycle = &BasicTensorPool::recycle;
    slot->refs.store(1, std::memory_order_relaxed);  // relaxed: nobody else knows the block yet
    mark_stale(*slot);
    return BlockRef::adopt(slot);
  }

  static void recycle(Block* block) noexcept {
    auto* const pool = static_cast<BasicTensorPool*>(block->owner);
    auto& slot = static_cast<SlotT&>(*block);
    const std::size_t bytes = slot.size_bytes;  // once put, the slot is somebody else's
    mark_stale(slot);
    pool->store_.put(slot);
    pool->let_go(bytes);
  }

  // The handle is gone; what is free goes now, the rest with the last block.
  void close() noexcept {
    store_.stop_keeping();
    store_.trim();
    let_go(0);
  }

  void let_go(std::size_t bytes) noexcept {
    if (lent_.drop(bytes)) delete this;
  }

  [[noreturn]] void refuse(std::size_t bytes, Shortage shortage) const {
    const PoolStats now = stats();
    if (shortage == Shortage::budget) {
      fail(ErrorCode::out_of_memory, "the tensor pool has no room for ", bytes,
           " bytes: ", now.bytes_in_use, " bytes in ", now.blocks_in_use,
           " blocks are in use, its budget is ", budget_bytes(), " bytes");
    }
    fail(ErrorCode::out_of_memory, "out of memory: the system refused ", bytes,
         " bytes to the tensor pool, which holds ", now.bytes_reserved, " bytes of its budget of ",
         budget_bytes());
  }

  static void mark_stale([[maybe_unused]] const SlotT& slot) noexcept {
#if defined(INFERKIT_TESTING)
    std::memset(slot.data, std::to_integer<int>(kStaleByte), slot.size_bytes);
#endif
  }

  Lent<Atom> lent_;
  ChunkStore<Atom> store_;
  Atomic<std::uint64_t> allocations_{0};
};

using TensorPool = BasicTensorPool<StdAtom>;
using PoolRef = TensorPool::Ref;

}  // namespace inferkit
