// The outputs of one run, shared by the requests that rode in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

#include "base/clock.h"
#include "memory/block.h"
#include "memory/output_slot.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// Who ran a batch.
enum class RanOn : std::uint8_t { runner, lent_thread, event_loop };

// Header at the start of one pool block; the slots and the outputs whose shape was known follow.
// Threads: written by the thread that runs the batch, read-only once a request says done;
// add_ref/release from any. Owns: its block and the foreign outputs in its slots.
class BatchResult {
 public:
  // One slot per view. A view whose shape is known gets its bytes here (data is set); one with an
  // open dimension is left for the backend to allocate. Throws: Error when the pool has no room.
  static BatchResult* create(TensorPool& pool, std::span<const TensorView> known);

  [[nodiscard]] std::span<OutputSlot> outputs() noexcept { return {slots(), slot_count_}; }

  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  std::uint32_t rows = 0;
  std::uint32_t requests = 0;
  RanOn ran_on = RanOn::runner;
  TimeNs claimed = 0;
  TimeNs started = 0;
  TimeNs finished = 0;

 private:
  BatchResult() = default;
  [[nodiscard]] OutputSlot* slots() noexcept;

  std::atomic<std::uint32_t> refs_{1};
  std::uint32_t slot_count_ = 0;
  Block* block_ = nullptr;
};

// Owns one count of a BatchResult.
class ResultRef {
 public:
  ResultRef() = default;
  static ResultRef adopt(BatchResult* result) noexcept {
    ResultRef ref;
    ref.result_ = result;
    return ref;
  }
  ResultRef(const ResultRef& other) noexcept : result_(other.result_) {
    if (result_ != nullptr) result_->add_ref();
  }
  ResultRef(ResultRef&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  ResultRef& operator=(ResultRef other) noexcept {
    std::swap(result_, other.result_);
    return *this;
  }
  ~ResultRef() {
    if (result_ != nullptr) result_->release();
  }
  [[nodiscard]] explicit operator bool() const noexcept { return result_ != nullptr; }
  BatchResult* operator->() const noexcept { return result_; }
  BatchResult& operator*() const noexcept { return *result_; }
  [[nodiscard]] BatchResult* detach() noexcept { return std::exchange(result_, nullptr); }

 private:
  BatchResult* result_ = nullptr;
};

}  // namespace inferkit
