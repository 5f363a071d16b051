// How often this thread asked the heap, and a heap that says no: the whole test binary's operator
// new counts, and refuses what it is told to.
#pragma once

#include <cstdint>

namespace inferkit::testing {

// Calls of operator new on the calling thread so far.
[[nodiscard]] std::uint64_t heap_allocations() noexcept;

// While it lives, the heap refuses every thread: the calls from the `first` on, counted from 1
// through all threads, or that one alone. The thread that made it is spared: a test needs the heap
// itself, and lets the code under test be refused by exposed().
// Threads: one at a time, and only one of them lives at once. Those refused: any.
class HeapShortage {
 public:
  enum class Lasts : bool { once, on };

  HeapShortage(std::uint64_t first, Lasts lasts) noexcept;
  ~HeapShortage();
  HeapShortage(const HeapShortage&) = delete;
  HeapShortage& operator=(const HeapShortage&) = delete;

  // How many calls were refused so far.
  [[nodiscard]] std::uint64_t refused() const noexcept;
};

// Whether the calling thread is spared now; what it was before.
bool spare_heap(bool spared) noexcept;

// What the spared thread does in here is refused like others'.
template <class Work>
decltype(auto) exposed(Work&& work) {
  struct Restore {
    bool before = spare_heap(false);
    ~Restore() { spare_heap(before); }
  };
  const Restore restore;
  return work();
}

}  // namespace inferkit::testing
