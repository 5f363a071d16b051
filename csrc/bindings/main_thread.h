// Ctrl-C, and exceptions that one thread sets for another, while a caller waits in native code.
#pragma once

#include <Python.h>

#include "base/clock.h"
#include "bindings/ref.h"

namespace inferkit {

// How long the main thread waits at most before it lets Python's signal handlers run. Python's own
// handler only leaves a note, and may do so on another thread, which wakes nobody.
inline constexpr DurationNs kSignalSlice = 50 * kMillisecond;
// The others have less to look for, and there may be many of them.
inline constexpr DurationNs kOtherSlice = 100 * kMillisecond;

// Notes which thread Python calls its main one. False with an exception set.
// Called at import and whenever a session is opened, which also covers a forked child.
[[nodiscard]] bool note_main_thread();

// The end of the next wait: `until`, or earlier. With or without the GIL.
[[nodiscard]] TimeNs slice_end(const Clock& clock, TimeNs until) noexcept;

// Between two waits, with the GIL: runs signal handlers on the main thread, and takes what another
// thread has set for this one (PyThreadState_SetAsyncExc). False with an exception set.
[[nodiscard]] bool look_up();

// The exception is raised as soon as this thread runs Python code again. False: it is set, as too
// many are pending. Off the main thread there is room for one: this takes the place of another.
[[nodiscard]] bool raise_soon(Ref exception);

// What a signal's handler or another thread raised (KeyboardInterrupt, SystemExit) while Python
// code ran for us where nobody can hand it on: raised as soon as this thread is back in Python
// code. An Exception is left to the caller: it may be the code's own. True: it is no longer set.
[[nodiscard]] bool raise_later();

}  // namespace inferkit
