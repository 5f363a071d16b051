// Free blocks by size class, and the chunks they are cut from.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "base/atom.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fork_mutex.h"
#include "memory/bare_slots.h"
#include "memory/byte_budget.h"
#include "memory/free_list.h"
#include "memory/gone_chunks.h"
#include "memory/lent.h"
#include "memory/recent_peak.h"
#include "memory/resource.h"
#include "memory/size_class.h"
#include "memory/slot_table.h"

namespace inferkit {

enum class Shortage : std::uint8_t { none, budget, memory };

// The lower half of the tensor pool: hands out blocks and takes them back, never holds more than
// the budget from its resource, with what others made and was charged to it. Its owner counts what
// is lent.
// Threads: any. take() takes a mutex only when the free list of the class is empty; put() only
// when a large block leads to giving memory back; charge() only when the budget is spent. The
// system takes memory back outside the mutex, but for what must make room at once.
// Owns: every chunk; all are given back at destruction, lent out or not. Throws: never.
template <class Atom>
class ChunkStore {
 public:
  using SlotT = Slot<Atom>;

  ChunkStore(MemoryResource& resource, std::size_t budget_bytes, const Lent<Atom>& lent,
             const Clock& clock)
      : resource_(resource),
        budget_(budget_bytes),
        lent_(lent),
        clock_(clock),
        // Half of the keepers: what is charged, blocks of one other pool, takes the other half.
        slots_(std::min<std::size_t>(budget_bytes / kSmallestBlockBytes + 1,
                                     Lent<Atom>::kMaxKeepers / 2)) {}

  ~ChunkStore() {
    GoneChunks gone(resource_);
    for (std::uint32_t number = 0; number < slots_.size(); ++number) {
      if (slots_[number].chunk_pages != 0) vacate(slots_[number], gone);
    }
  }

  ChunkStore(const ChunkStore&) = delete;
  ChunkStore& operator=(const ChunkStore&) = delete;

  // nullptr, with the reason, when nothing of that size can be had.
  [[nodiscard]] SlotT* take(std::size_t bytes, Shortage& shortage) noexcept {
    if (bytes > budget_bytes()) {
      shortage = Shortage::budget;
      return nullptr;
    }
    const SizeClass wanted = size_class(bytes);
    SlotT* const slot = pop(wanted.index);
    return slot != nullptr ? slot : grow(wanted, shortage);
  }

  // Its owner still counts the block as lent.
  void put(SlotT& slot) noexcept {
    // relaxed: a late reader keeps a block too many, which trim() and the destructor find.
    if (slot.chunk_blocks == 1 && !keeping_.load(std::memory_order_relaxed)) return drop(slot);
    if (is_large(slot)) {
      const std::uint64_t idle = idle_large_.load(std::memory_order_relaxed) + slot.size_bytes;
      // Touching fresh pages costs far more than taking an old block; the other half of the budget
      // keeps the small classes alive.
      if (idle > budget_bytes() / 2) return drop(slot);
      // Sizes that change all the time must not pile up. Nobody knows which block idles longest:
      // all go, and those in use come back. What is lent is most just before a block is put.
      if (idle > kIdlePerLent * peak_.note(lent_for_now(), clock_.now())) give_back_idle();
    }
    push(slot);
  }

  // Bytes of somebody else's that count as held; false: there is no room for them.
  [[nodiscard]] bool charge(std::uint64_t bytes) noexcept {
    if (budget_.take(bytes)) return true;
    const std::lock_guard lock(mutex_);
    return make_room(bytes);
  }
  void discharge(std::uint64_t bytes) noexcept { budget_.give(bytes); }

  // Gives back every chunk that no lent block lies in.
  void trim() noexcept {
    peak_.forget();
    give_back_idle();
  }
  // Now and then: what idles beyond what was lent of late goes back, but for a little.
  void grow_older() noexcept {
    const std::uint64_t of_late = peak_.note(lent_for_now(), clock_.now());
    if (idle_large_bytes() > std::max(kLittle, kIdlePerLent * of_late)) give_back_idle();
  }
  [[nodiscard]] bool may_grow_older() const noexcept {
    return idle_large_bytes() + lent_for_now() > kLittle;
  }
  // Of what is lent. relaxed: a hint.
  void count_resident(std::int64_t bytes) noexcept {
    resident_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
  }

  // From now on a block with a chunk of its own is given back as soon as it is put.
  void stop_keeping() noexcept { keeping_.store(false, std::memory_order_relaxed); }

  [[nodiscard]] std::size_t budget_bytes() const noexcept { return budget_.limit_bytes(); }
  [[nodiscard]] std::uint64_t bytes_held() const noexcept { return budget_.used_bytes(); }
  // relaxed, here and below: numbers for people, and reserved_ changes under mutex_ only.
  [[nodiscard]] std::uint64_t bytes_charged() const noexcept {
    const std::uint64_t held = budget_.used_bytes();
    return held - std::min(held, reserved_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] std::uint64_t misses() const noexcept {
    return misses_.load(std::memory_order_relaxed);
  }

 private:
  template <class T>
  using Atomic = typename Atom::template Atomic<T>;

  [[nodiscard]] std::uint64_t idle_large_bytes() const noexcept {
    return idle_large_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t lent_for_now() const noexcept {
    const std::uint64_t lent = lent_.bytes();
    return lent - std::min(lent, resident_.load(std::memory_order_relaxed));
  }

  // A run takes its sizes one after the other, so together they are more than it holds at once.
  static constexpr std::uint64_t kIdlePerLent = 2;
  // Kept however long nobody asks: faulting it in again takes milliseconds.
  static constexpr std::uint64_t kLittle = std::uint64_t{24} << 20;
  static constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
  static constexpr std::uint32_t kNone = FreeList<Atom>::kNone;

  void push(SlotT& slot) noexcept {
    // relaxed: a heuristic. Before the push, so that pop() never takes it below zero.
    if (is_large(slot)) idle_large_.fetch_add(slot.size_bytes, std::memory_order_relaxed);
    free_[slot.size_class].push(slots_, slot.index);
  }

  SlotT* pop(std::size_t size_class_index) noexcept {
    const std::uint32_t number = free_[size_class_index].pop(slots_);
    if (number == kNone) return nullptr;
    SlotT& slot = slots_[number];
    if (is_large(slot)) idle_large_.fetch_sub(slot.size_bytes, std::memory_order_relaxed);
    return &slot;
  }

  static bool is_large(const SlotT& slot) noexcept {
    return slot.size_bytes > kFineStepsAboveBytes;
  }

  void give_back_idle() noexcept {
    GoneChunks gone(resource_);
    const std::lock_guard lock(mutex_);
    vacate_idle(gone);
  }

  void drop(SlotT& slot) noexcept {
    GoneChunks gone(resource_);
    const std::lock_guard lock(mutex_);
    vacate(slot, gone);
    bare_.put(slot);
  }

  // ---- The rest runs under mutex_ -----------------------------------------------------------

  SlotT* grow(SizeClass wanted, Shortage& shortage) noexcept {
    misses_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    const std::lock_guard lock(mutex_);
    // Somebody may have grown or trimmed this class while we waited.
    if (SlotT* const slot = pop(wanted.index)) return slot;
    const std::size_t least = round_to_pages(wanted.bytes);
    std::size_t bytes = least > kChunkBytes / 2 ? least : kChunkBytes;
    if (!budget_.take(bytes)) {
      bytes = least;
      if (!budget_.take(bytes) && !make_room(bytes)) {
        shortage = Shortage::budget;
        return nullptr;
      }
    }
    SlotT* const slot = carve(wanted, bytes);
    if (slot != nullptr) return slot;
    budget_.give(bytes);
    shortage = Shortage::memory;
    return nullptr;
  }

  // And takes it.
  [[nodiscard]] bool make_room(std::uint64_t bytes) noexcept {
    // A quick no: what is lent cannot be given back, however often we are asked. A block on its way
    // back may still count; who asks at that moment has asked too early.
    const std::uint64_t lent = lent_.bytes() + bytes_charged();
    if (bytes > budget_bytes() || lent > budget_bytes() - bytes) return false;
    vacate_idle_now();
    return budget_.take(bytes);
  }

  // One block for the caller, the others of its chunk to the free list; nullptr without memory.
  SlotT* carve(SizeClass wanted, std::size_t bytes) noexcept {
    const std::size_t count = bytes / wanted.bytes;
    if (INFERKIT_FAILS("tensor_pool.carve") || !bare_.provide(count)) return nullptr;
    std::byte* data = resource_.allocate(bytes);
    if (data == nullptr) {
      vacate_idle_now();
      data = resource_.allocate(bytes);
    }
    if (data == nullptr) return nullptr;
    reserved_.fetch_add(bytes, std::memory_order_relaxed);
    SlotT& lead = bare_.take();
    lead.chunk_pages = static_cast<std::uint32_t>(bytes / kPageBytes);
    for (std::size_t nth = 0; nth < count; ++nth) {
      SlotT& slot = nth == 0 ? lead : bare_.take();
      slot.data = data + nth * wanted.bytes;
      slot.size_bytes = wanted.bytes;
      slot.size_class = wanted.index;
      slot.lead = lead.index;
      slot.chunk_blocks = static_cast<std::uint16_t>(count);
      if (nth != 0) push(slot);
    }
    return &lead;
  }

  void vacate(SlotT& lead, GoneChunks& gone) noexcept {
    const std::size_t bytes = lead.chunk_pages * kPageBytes;
    reserved_.fetch_sub(bytes, std::memory_order_relaxed);
    budget_.give(bytes);
    lead.chunk_pages = 0;
    gone.add(lead.data, bytes);
  }

  // Whoever needs the room at once.
  void vacate_idle_now() noexcept {
    GoneChunks gone(resource_);
    vacate_idle(gone);
  }

  void vacate_idle(GoneChunks& gone) noexcept {
    for (std::size_t index = 0; index < kSizeClassCount; ++index) vacate_idle(index, gone);
  }

  // Who finds the list empty meanwhile waits for the mutex in grow() and looks again.
  void vacate_idle(std::size_t index, GoneChunks& gone) noexcept {
    std::uint32_t drained = kNone;
    while (SlotT* const slot = pop(index)) {
      slots_[slot->lead].free_in_chunk = 0;
      slot->next.store(drained, std::memory_order_relaxed);  // relaxed: read by this thread only
      drained = slot->index;
    }
    for (std::uint32_t number = drained; number != kNone; number = next_of(number)) {
      ++slots_[slots_[number].lead].free_in_chunk;
    }
    while (drained != kNone) {
      SlotT& slot = slots_[drained];
      drained = next_of(drained);
      if (slots_[slot.lead].free_in_chunk != slot.chunk_blocks) {
        push(slot);
        continue;
      }
      if (slot.lead == slot.index) vacate(slot, gone);
      bare_.put(slot);
    }
  }

  [[nodiscard]] std::uint32_t next_of(std::uint32_t number) noexcept {
    return slots_.next(number).load(std::memory_order_relaxed);
  }

  MemoryResource& resource_;
  ByteBudget<Atom> budget_;
  const Lent<Atom>& lent_;
  const Clock& clock_;
  SlotTable<Atom> slots_;
  BareSlots<Atom> bare_{slots_};
  std::array<FreeList<Atom>, kSizeClassCount> free_;
  Atomic<std::uint64_t> idle_large_{0};
  RecentPeak<Atom> peak_;  // bytes lent for now
  Atomic<std::uint64_t> resident_{0};
  Atomic<std::uint64_t> misses_{0};
  Atomic<bool> keeping_{true};
  ForkMutex mutex_;
  Atomic<std::uint64_t> reserved_{0};  // changed under mutex_, read by anybody
};

}  // namespace inferkit
