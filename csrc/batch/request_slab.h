// The array that all request records of an engine live in.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>

#include "base/failpoint.h"
#include "batch/request.h"
#include "memory/free_list.h"

namespace inferkit {

// Credits return when a request is answered, its record only when the answer was taken; so there
// are more records than credits, and another segment of them whenever slow takers hold them all.
// Segments are never unmapped while the engine lives: a late futex wake or a stale handle is
// harmless. Threads: any. Blocks: never, but for growing. Owns: the records.
template <class Atom>
class RequestSlab {
 public:
  // Records come in segments of `segment_size`; the first is made here.
  explicit RequestSlab(std::uint32_t segment_size) : segment_size_(segment_size) { grow(); }
  ~RequestSlab() {
    for (auto& segment : segments_) delete[] segment.load(std::memory_order_relaxed);
  }
  RequestSlab(const RequestSlab&) = delete;
  RequestSlab& operator=(const RequestSlab&) = delete;

  // Null when kMaxSegments segments are in use, or memory is not to be had.
  [[nodiscard]] Request<Atom>* take() noexcept {
    std::uint32_t index = free_.pop(*this);
    while (index == FreeList<Atom>::kNone) {
      INFERKIT_FAILPOINT("request_slab.empty");
      const std::lock_guard lock(grow_mutex_);  // rare, and never while anything else is held
      // Somebody may have grown it while we waited: once is enough for everybody.
      index = free_.pop(*this);
      if (index == FreeList<Atom>::kNone && !grow()) return nullptr;
    }
    return &(*this)[index];
  }

  // Taken, and not opened after all.
  void put_back(Request<Atom>* request) noexcept { free_.push(*this, request->index); }

  // One owner lets go; the last clears the record and frees it under the next generation.
  void release(Request<Atom>* request) noexcept {
    if (!request->drop_owner()) return;
    request->payload = {};
    request->result = {};
    request->parts.reset();
    request->error.reset();
    request->sink = nullptr;
    request->user = nullptr;
    const std::uint64_t generation =
        Request<Atom>::generation_of(request->word.load(std::memory_order_relaxed));
    // relaxed: published by the free list's release push.
    request->word.store((generation + 1) << 32, std::memory_order_relaxed);
    free_.push(*this, request->index);
  }

  [[nodiscard]] Request<Atom>& operator[](std::uint32_t index) noexcept {
    // relaxed: whoever knows the index got it after the segment was published (free list).
    return segments_[index / segment_size_].load(std::memory_order_relaxed)[index % segment_size_];
  }
  // For FreeList.
  [[nodiscard]] auto& next(std::uint32_t index) noexcept { return (*this)[index].next_free; }

  // Records that are queued or claimed, counted one by one: exact when nothing moves.
  [[nodiscard]] std::uint32_t count_in_flight() const noexcept {
    return count([](RequestState state) {
      return state == RequestState::queued || state == RequestState::claimed;
    });
  }
  // And those whose answers wait to be taken.
  [[nodiscard]] std::uint32_t count_in_use() const noexcept {
    return count([](RequestState state) { return state != RequestState::free; });
  }

 private:
  static constexpr std::size_t kMaxSegments = 256;

  // By the constructor, or under grow_mutex_.
  bool grow() noexcept {
    if (used_ == kMaxSegments) return false;
    auto* records = INFERKIT_FAILS("request_slab.grow") ? nullptr
                                                        : new (std::nothrow)
                                                              Request<Atom>[segment_size_];
    if (records == nullptr) return false;
    const std::uint32_t first = used_ * segment_size_;
    // release: pairs with count_in_flight(); the free list publishes it to everybody else.
    segments_[used_++].store(records, std::memory_order_release);
    for (std::uint32_t i = segment_size_; i-- > 0;) {
      records[i].index = first + i;
      free_.push(*this, first + i);
    }
    return true;
  }

  template <class Counts>
  [[nodiscard]] std::uint32_t count(Counts counts) const noexcept {
    std::uint32_t sum = 0;
    for (const auto& segment : segments_) {
      const Request<Atom>* records = segment.load(std::memory_order_acquire);
      if (records == nullptr) break;
      for (std::uint32_t i = 0; i < segment_size_; ++i) sum += counts(records[i].state()) ? 1 : 0;
    }
    return sum;
  }

  const std::uint32_t segment_size_;
  std::array<typename Atom::template Atomic<Request<Atom>*>, kMaxSegments> segments_{};
  FreeList<Atom> free_;
  std::mutex grow_mutex_;
  std::uint32_t used_ = 0;  // under grow_mutex_
};

}  // namespace inferkit
