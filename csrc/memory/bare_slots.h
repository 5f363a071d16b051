// Slots without bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "base/atom.h"
#include "memory/free_list.h"
#include "memory/slot_table.h"

namespace inferkit {

// The slots of a table that no chunk lies behind, linked through `next`; makes new ones.
// Threads: one at a time. Owns: nothing; the table outlives it. Throws: never.
template <class Atom>
class BareSlots {
 public:
  using SlotT = Slot<Atom>;

  explicit BareSlots(SlotTable<Atom>& slots) noexcept : slots_(slots) {}

  void put(SlotT& slot) noexcept {
    slot.next.store(first_, std::memory_order_relaxed);
    first_ = slot.index;
    ++count_;
  }

  // After provide() only.
  SlotT& take() noexcept {
    SlotT& slot = slots_[first_];
    first_ = slot.next.load(std::memory_order_relaxed);
    --count_;
    return slot;
  }

  // Whether `count` can be taken.
  [[nodiscard]] bool provide(std::size_t count) noexcept try {
    while (count_ < count) put(slots_.add());
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }

 private:
  SlotTable<Atom>& slots_;
  std::uint32_t first_ = FreeList<Atom>::kNone;
  std::size_t count_ = 0;
};

}  // namespace inferkit
