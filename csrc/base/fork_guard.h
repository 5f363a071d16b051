// Was this process forked off since?
#pragma once

#include <atomic>
#include <cstdint>

namespace inferkit {

// How a child gets to know. The page is exact even for a bare clone(); the handler is for systems
// without MADV_WIPEONFORK, or that only claim to have it, and sees fork() only.
enum class ForkDetection : std::uint8_t { wiped_page, atfork_handler };

// Remembers the process it was made in. A child can make guards of its own.
// Threads: a value; in_child() from any thread, one load and one compare.
// Blocks: never. Throws: never.
class ForkGuard {
 public:
  // The page where the system has it, else the handler.
  ForkGuard() noexcept;
  explicit ForkGuard(ForkDetection how) noexcept;

  // True in every process forked, at whatever remove, from the one the guard was made in.
  [[nodiscard]] bool in_child() const noexcept {
    // relaxed: the word changes at fork only, when the child has one thread.
    return word_->load(std::memory_order_relaxed) != generation_;
  }

 private:
  using Word = std::atomic<std::uint32_t>;

  explicit ForkGuard(Word& word) noexcept;

  const Word* word_;
  std::uint32_t generation_;
};

}  // namespace inferkit
