// What no process should be forked in the midst of: loading.
#pragma once

#include "base/clock.h"

namespace inferkit {

// While one lives, whoever forks waits, so that a child finds free the locks that a library takes
// meanwhile and shows nobody: ONNX Runtime has some that are the whole process's. Loads may take
// long: after kForkWait it goes on, and its child and theirs, which might wait for such a lock for
// ever, are refused this for good.
// Threads: any, several at the same time; not nested, also not by a thread that waits for one.
// Blocks: the constructor, for a fork of another thread, but kForkWait at most, and then it goes
// on. Throws: the constructor, Error(model_load) in such a child.
class Unforked {
 public:
  Unforked();
  ~Unforked();
  Unforked(const Unforked&) = delete;
  Unforked& operator=(const Unforked&) = delete;
};

inline constexpr DurationNs kForkWait = 10 * kSecond;

// Right before a fork of this thread, for who will hold something then that others need: closes the
// gate, so that nobody else comes in until that fork, and waits until nobody is inside, but `wait`
// at most; the fork then waits for what is left of that, not longer. Called again before that fork,
// it begins anew. True: somebody was inside. Blocks: yes, but not for 0.
[[nodiscard]] bool await_unforked(DurationNs wait) noexcept;

// After it, by the same thread: opens the gate where that fork was not made after all.
void give_fork_up() noexcept;

// Around a fork: the first of the locks that are held over it (base/fork_mutex.h), for at most
// `wait` before it goes on.
void close_fork_gate(DurationNs wait) noexcept;
void open_fork_gate() noexcept;
void open_fork_gate_in_child() noexcept;

}  // namespace inferkit
