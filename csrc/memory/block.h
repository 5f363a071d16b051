// A reference-counted piece of memory and the handle that counts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace inferkit {

// A descriptor, apart from the bytes so that those stay aligned to the page or the cache line.
// Threads: add_ref and release from any thread. The last release calls `recycle(this)`, which
// returns the block to its pool or frees foreign memory.
struct Block {
  using Recycle = void (*)(Block*) noexcept;

  std::byte* data = nullptr;
  std::size_t size_bytes = 0;  // usable bytes, at least what was asked for
  Recycle recycle = nullptr;
  void* owner = nullptr;  // the pool, or the foreign object that recycle() frees
  std::atomic<std::uint32_t> refs{0};
  std::uint32_t index = 0;  // the pool's own number for the block

  void add_ref() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // A lone holder skips the read-modify-write: nobody is left who could copy the reference.
    // acquire: pairs with the release of those who let go before.
    if (refs.load(std::memory_order_acquire) == 1) return recycle(this);
    // release: our writes are done; acquire: the last one sees everybody's before it recycles.
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle(this);
  }
};

// Owns one count of a Block. Threads: a value, like a shared_ptr.
class BlockRef {
 public:
  BlockRef() = default;
  // Takes over a count that the caller already holds.
  static BlockRef adopt(Block* block) noexcept {
    BlockRef ref;
    ref.block_ = block;
    return ref;
  }
  BlockRef(const BlockRef& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) block_->add_ref();
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr) block_->release();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return block_ != nullptr; }
  [[nodiscard]] std::byte* data() const noexcept { return block_->data; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return block_->size_bytes; }
  // Gives the count to the caller, who must release it.
  [[nodiscard]] Block* detach() noexcept { return std::exchange(block_, nullptr); }

 private:
  Block* block_ = nullptr;
};

}  // namespace inferkit
