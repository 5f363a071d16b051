// The one native thread that attaches itself to Python.
#pragma once

#include <Python.h>

#include <cstdint>
#include <thread>

#include "base/atom.h"
#include "base/fork_guard.h"
#include "queue/inbox.h"

namespace inferkit {

// Something to be done with the GIL, asked for by a thread that has none.
// Threads: ask from any, run() on the notifier. Must outlive its turn; asking again before it was
// run is one errand.
class Errand {
 public:
  virtual ~Errand() = default;
  // With the GIL. A Python exception that is left set goes to sys.unraisablehook.
  virtual void run() = 0;

  Errand* next = nullptr;              // the notifier's list
  StdAtom::Atomic<bool> asked{false};  // set by who queues it, cleared before run()
};

// Runs errands one after the other, attached once per round of them.
// Threads: start() and stop() with the GIL, the rest from any. Blocks: stop() only.
// Owns: its thread, named inferkit-notify. One per process, made by the first start(); a forked
// child starts without one, and one that an errand forked exits when that errand is over. Lives for
// ever: a late ask() finds it.
class Notifier {
 public:
  // False with an exception set: SystemLimitError where no thread can be had, RuntimeError where
  // the interpreter is going down.
  [[nodiscard]] static bool start();
  // Never blocks. Without a started notifier the errand is dropped.
  static void ask(Errand& errand) noexcept;
  // Runs what was asked for, then ends the thread for good. For atexit, once nothing answers.
  static void stop();
  // Lets others have the GIL for ten milliseconds. Keeps an exception that is set.
  static void rest() noexcept;
  // Whether the caller is on the notifier's thread.
  [[nodiscard]] static bool is_this_thread() noexcept;

 private:
  void serve() noexcept;
  void run_errands() noexcept;
  void push(Errand& errand) noexcept;

  Inbox<StdAtom, Errand> errands_;
  StdAtom::Atomic<std::uint32_t> bell_{0};
  StdAtom::Atomic<bool> stopping_{false};
  const ForkGuard fork_guard_;
  std::thread thread_;
};

// Adds the notifier's functions for inferkit._future to the module.
[[nodiscard]] bool add_notifier(PyObject* module);

}  // namespace inferkit
