#include "bindings/notifier.h"

#include <pthread.h>

#include <atomic>
#include <cfenv>
#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "base/start_thread.h"
#include "base/thread_setup.h"
#include "bindings/errors.h"
#include "bindings/gil.h"

namespace inferkit {
namespace {

// Never deleted. release/acquire: who reads it sees a whole notifier.
std::atomic<Notifier*> the_notifier{nullptr};
std::atomic<bool> ended{false};
thread_local bool on_notifier = false;

// The thread did not come along, nor may its list be touched: another thread may have been in it.
void forget_in_child() {
  the_notifier.store(nullptr, std::memory_order_relaxed);
  on_notifier = false;
}

// Callbacks of users run here: ours in name and signal mask, but with the host's arithmetic.
void prepare_thread() noexcept {
  std::fenv_t host;
  std::fegetenv(&host);
  prepare_own_thread("inferkit-notify");
  std::fesetenv(&host);
  on_notifier = true;
}

PyObject* stop_notifier(PyObject* /*module*/, PyObject* /*unused*/) {
  expect_unwinding();
  Notifier::stop();
  Py_RETURN_NONE;
}

PyObject* on_notifier_thread(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyBool_FromLong(on_notifier ? 1 : 0);
}

PyMethodDef kFunctions[] = {
    {"stop_notifier", stop_notifier, METH_NOARGS,
     "stop_notifier() -> None\n\n"
     "Runs the callbacks that are due, then ends their thread. For the interpreter's exit, after\n"
     "every session was closed."},
    {"on_notifier_thread", on_notifier_thread, METH_NOARGS,
     "on_notifier_thread() -> bool\n\n"
     "Whether the caller is a callback of a Future: then waiting for another one would never end."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool Notifier::start() {
  const bool ending = ended.load(std::memory_order_relaxed) || !python_is_alive();
  if (!ending && the_notifier.load(std::memory_order_relaxed) != nullptr) return true;  // GIL
  if (ending) {
    PyErr_SetString(PyExc_RuntimeError,
                    "the interpreter is shutting down: nobody could be told "
                    "the answer");
    return false;
  }
  static const int fork_hook = pthread_atfork(nullptr, nullptr, forget_in_child);
  static_cast<void>(fork_hook);
  try {
    auto notifier = std::make_unique<Notifier>();
    Notifier* self = notifier.get();
    self->thread_ = start_thread([self] { self->serve(); });
    the_notifier.store(notifier.release(), std::memory_order_release);
    return true;
  } catch (const Error& error) {
    set_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  return false;
}

void Notifier::ask(Errand& errand) noexcept {
  // acquire: pairs with start().
  if (Notifier* notifier = the_notifier.load(std::memory_order_acquire)) notifier->push(errand);
}

void Notifier::push(Errand& errand) noexcept {
  // acq_rel: pairs with the exchange in run_errands(). If it was still true there, what the asker
  // did before is seen by that run; else it is queued once more.
  if (errand.asked.exchange(true, std::memory_order_acq_rel)) return;
  if (!errands_.push(&errand)) return;
  bell_.fetch_add(1, std::memory_order_release);  // pairs with serve()
  StdAtom::wake(bell_, 1);
}

void Notifier::serve() noexcept {
  prepare_thread();
  const AcquireGil attached;  // one Python thread for all callbacks: its thread-locals last
  for (;;) {
    // acquire: pairs with push() and stop(); what rings later ends the wait.
    const std::uint32_t seen = bell_.load(std::memory_order_acquire);
    const bool last = stopping_.load(std::memory_order_acquire);
    run_errands();
    // A callback has forked. Its thread is the child's main thread, which comes to its end here.
    if (fork_guard_.in_child()) Py_Exit(0);
    if (last) return;
    const ReleaseGil detached;
    StdAtom::wait(bell_, seen, kNever);
  }
}

void Notifier::run_errands() noexcept {
  while (Errand* errand = errands_.drain()) {
    while (errand != nullptr) {
      Errand* next = errand->next;  // read first: it may be queued again while it runs
      errand->asked.exchange(false, std::memory_order_acq_rel);
      errand->run();
      if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(nullptr);
      if (fork_guard_.in_child()) return;  // the errand has forked; the others are the parent's
      errand = next;
    }
  }
}

void Notifier::stop() {
  ended.store(true, std::memory_order_relaxed);
  Notifier* notifier = the_notifier.load(std::memory_order_relaxed);
  if (notifier == nullptr || !notifier->thread_.joinable() || on_notifier) return;
  std::thread thread = std::move(notifier->thread_);
  notifier->stopping_.store(true, std::memory_order_release);  // pairs with serve()
  notifier->bell_.fetch_add(1, std::memory_order_release);
  StdAtom::wake(notifier->bell_, 1);
  const ReleaseGil released;  // its last callbacks need the GIL
  thread.join();
}

void Notifier::rest() noexcept {
  StdAtom::Atomic<std::uint32_t> nobody_rings{0};
  const ReleaseGil released;
  StdAtom::wait(nobody_rings, 0, steady_clock().now() + 10 * kMillisecond);
}

bool Notifier::is_this_thread() noexcept { return on_notifier; }

bool add_notifier(PyObject* module) { return PyModule_AddFunctions(module, kFunctions) == 0; }

}  // namespace inferkit
