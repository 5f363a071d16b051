// The fixed array that all request records of an engine live in.
#pragma once

#include <cstdint>
#include <memory>

#include "batch/request.h"
#include "memory/free_list.h"

namespace inferkit {

// Larger than the credits: credits return with the queue side, a record only when both sides let
// go. Never unmapped while the engine lives, so a late futex wake or a stale handle is harmless.
// Threads: any. Blocks: never. Owns: the records.
template <class Atom>
class RequestSlab {
 public:
  explicit RequestSlab(std::uint32_t size)
      : size_(size), records_(std::make_unique<Request<Atom>[]>(size)) {
    for (std::uint32_t index = size; index-- > 0;) {
      records_[index].index = index;
      free_.push(*this, index);
    }
  }

  // Null when every record is in use.
  [[nodiscard]] Request<Atom>* take() noexcept {
    const std::uint32_t index = free_.pop(*this);
    return index == FreeList<Atom>::kNone ? nullptr : &records_[index];
  }

  // One owner lets go; the last clears the record and frees it under the next generation.
  void release(Request<Atom>* request) noexcept {
    if (!request->drop_owner()) return;
    request->payload = {};
    request->result = {};
    request->error.reset();
    request->sink = nullptr;
    request->user = nullptr;
    const std::uint64_t generation = Request<Atom>::generation_of(
        request->word.load(std::memory_order_relaxed));
    // relaxed: published by the free list's release push.
    request->word.store((generation + 1) << 32, std::memory_order_relaxed);
    free_.push(*this, request->index);
  }

  [[nodiscard]] Request<Atom>& operator[](std::uint32_t index) noexcept { return records_[index]; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  // For FreeList.
  [[nodiscard]] auto& next(std::uint32_t index) noexcept { return records_[index].next_free; }

  // Records that are queued or claimed, counted one by one: exact when nothing moves.
  [[nodiscard]] std::uint32_t count_in_flight() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t index = 0; index < size_; ++index) {
      const RequestState state = records_[index].state();
      if (state == RequestState::queued || state == RequestState::claimed) ++count;
    }
    return count;
  }

 private:
  const std::uint32_t size_;
  std::unique_ptr<Request<Atom>[]> records_;
  FreeList<Atom> free_;
};

}  // namespace inferkit
