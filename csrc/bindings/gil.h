// Both doors between our threads and Python, and the whole policy of using them.
//
// 1. Threads of the core never hold the GIL and never ask for it. Only the notifier, which is a
//    thread of the bindings, attaches itself, once per batch of answers.
// 2. Whoever can wait, join, compute, load or copy 64 KiB and more stands behind ReleaseGil. That
//    includes the release of the last reference to an engine: it joins threads.
// 3. Nobody holds a native lock while attached to Python: Python code may run at any allocation.
//    Lock-free calls into the engine (admit of small inputs, submit, cancel, release) keep the GIL,
//    and so do the runs of an event loop that are expected to take 100 us at most (docs/adr/0007),
//    and a blocking caller's of 10 us at most, for a while (gil_turn.h, docs/adr/0014).
// 4. Behind ReleaseGil no Python object is touched; what is needed afterwards is held by a counted
//    reference that was taken before.
// 5. A thread that asks for the GIL while the interpreter is going down never gets it. CPython 3.13
//    and older then unwind its stack, which would drop Python references without the GIL and stop
//    at the first noexcept function; we let such a thread sleep until the process ends, as 3.14
//    does itself. Where Python code that we called is unwound, the destructor of the first Ref on
//    the way does that.
//
// No other file may name CPython's functions for this (tests/house/test_bans.py).
#pragma once

#include <Python.h>

#include <atomic>
#include <cstddef>

namespace inferkit {

// From here on a copy takes longer than handing the GIL over and back.
inline constexpr std::size_t kReleaseGilBytes = 64 << 10;

// Lets other Python threads run while this one is in native code.
// Threads: one that holds the GIL, which it holds again afterwards. Blocks: at the end, until the
// GIL is free. Throws: never, but does not come back once the interpreter is going down.
class ReleaseGil {
 public:
  ReleaseGil() noexcept;
  ~ReleaseGil() noexcept(false);
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

// Attaches a thread to Python, whether it was made by Python or not.
// Threads: any. Blocks: until the GIL is free. Throws: as ReleaseGil.
class AcquireGil {
 public:
  AcquireGil();
  ~AcquireGil();
  AcquireGil(const AcquireGil&) = delete;
  AcquireGil& operator=(const AcquireGil&) = delete;

 private:
  PyGILState_STATE state_;
};

// From now on a thread that has the GIL may lose it for good in any call of Python code (rule 5).
// For atexit.
void expect_unwinding() noexcept;
inline std::atomic<bool> unwinding_expected{false};  // relaxed: set while nobody else runs
// Does not come back where the calling thread's stack is being unwound by CPython.
void sleep_if_unwound() noexcept;

// False once the interpreter is going down: nobody new gets in. May turn false right after.
[[nodiscard]] bool python_is_alive() noexcept;

}  // namespace inferkit
