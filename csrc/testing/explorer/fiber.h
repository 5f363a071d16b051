// A thread of control that runs only when it is switched to.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstddef>
#include <memory>

namespace inferkit::explorer {

// Its own stack and where it stands on it. One without start() stands for the thread it was made
// on. Threads: one system thread for all. Owns: its stack; what lies on a stack that never came to
// its end is not destroyed.
class Fiber {
 public:
  using Entry = void (*)();

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to this fiber calls `entry`, which must never return.
  void start(Entry entry);

  // Leaves `from` where it stands and goes on with `to`.
  static void switch_to(Fiber& from, Fiber& to);

 private:
  static constexpr std::size_t kStackBytes = std::size_t{256} << 10;

  ucontext_t context_{};
  std::unique_ptr<std::byte[]> stack_;
  // Of the C++ ABI's __cxa_eh_globals: a pointer and an unsigned int.
  std::array<std::byte, sizeof(void*) + sizeof(unsigned)> handled_{};
};

}  // namespace inferkit::explorer
