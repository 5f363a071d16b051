// The descriptors of a pool's blocks, by number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "base/atom.h"
#include "memory/block.h"

namespace inferkit {

// A block and what the pool knows about it; one cache line. Blocks are cut from chunks; the
// chunk's own facts are kept by its first block, the lead, whose data is where the chunk begins.
template <class Atom>
struct alignas(kCacheLineBytes) Slot : Block {
  typename Atom::template Atomic<std::uint32_t> next{0};  // owned by FreeList
  std::uint32_t lead = 0;          // number of the lead of this block's chunk
  std::uint32_t chunk_pages = 0;   // lead only: size of the chunk, 0 when it was given back
  std::uint16_t chunk_blocks = 0;  // how many blocks the chunk was cut into
  std::uint16_t size_class = 0;
  std::uint16_t free_in_chunk = 0;  // lead only: scratch of trim(), under the pool's mutex
};

// Slots never move and are never freed before the table: a popper that lost its race may still
// read one.
// Threads: operator[] and next() from any thread for numbers that were published to it; add()
// by one thread at a time.
template <class Atom>
class SlotTable {
 public:
  explicit SlotTable(std::size_t limit) : segments_((limit + kSegmentSlots - 1) / kSegmentSlots) {}

  [[nodiscard]] Slot<Atom>& operator[](std::uint32_t number) noexcept {
    return segments_[number / kSegmentSlots][number % kSegmentSlots];
  }
  [[nodiscard]] auto& next(std::uint32_t number) noexcept { return (*this)[number].next; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

  // A new slot. Throws: std::bad_alloc, also beyond the limit.
  [[nodiscard]] Slot<Atom>& add() {
    const std::size_t segment = size_ / kSegmentSlots;
    if (segment == segments_.size()) throw std::bad_alloc();
    if (segments_[segment] == nullptr) {
      segments_[segment] = std::make_unique<Slot<Atom>[]>(kSegmentSlots);
    }
    Slot<Atom>& slot = (*this)[size_];
    slot.index = size_++;
    return slot;
  }

 private:
  static constexpr std::uint32_t kSegmentSlots = 512;

  std::vector<std::unique_ptr<Slot<Atom>[]>> segments_;  // sized once: readers take no lock
  std::uint32_t size_ = 0;
};

}  // namespace inferkit
