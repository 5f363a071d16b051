// What we ask of an asyncio event loop, whoever wrote it.
#pragma once

#include <Python.h>

#include "bindings/ref.h"

// Threads: with the GIL; on the loop's own thread where nothing else is said. Loops are borrowed.
// Every function may run Python code. Throws: never; a Python exception is set where it says so.
namespace inferkit::event_loop {

// The loop that runs on this thread; empty with RuntimeError set where none does.
[[nodiscard]] Ref running();

// Whether it is `loop` that runs on this thread.
[[nodiscard]] bool runs_here(PyObject* loop);

// False with an exception set.
[[nodiscard]] bool call_soon(PyObject* loop, PyObject* callback);
// As asyncio.Future schedules its callbacks: callback(argument) in `context`.
[[nodiscard]] bool call_soon(PyObject* loop, PyObject* callback, PyObject* argument,
                             PyObject* context);
// From any thread.
[[nodiscard]] bool call_soon_threadsafe(PyObject* loop, PyObject* callback);
// The timer's handle; empty with an exception set.
[[nodiscard]] Ref call_later(PyObject* loop, double seconds, PyObject* callback);
void cancel_timer(PyObject* handle);

enum class Watch { watched, unsupported, failed };  // failed: an exception is set
// The loop calls back, in an empty context, whenever `descriptor` is readable.
[[nodiscard]] Watch add_reader(PyObject* loop, int descriptor, PyObject* callback);
void remove_reader(PyObject* loop, int descriptor);

// From any thread. A loop that cannot say is not closed.
[[nodiscard]] bool is_closed(PyObject* loop);

// Gives the exception that is set to the loop's exception handler, as a failed callback's.
void report(PyObject* loop, PyObject* callback, PyObject* future);

// Leaves the context that the loop entered for our callback, and enters it again at the end. A
// reader's context is one and the same every time: a task that we resume and that runs the loop
// from within (nest_asyncio in notebooks) could not be woken by us, for nobody enters it twice.
// Owns: a reference to the context.
class OutsideOfContext {
 public:
  OutsideOfContext();
  ~OutsideOfContext();
  OutsideOfContext(const OutsideOfContext&) = delete;
  OutsideOfContext& operator=(const OutsideOfContext&) = delete;

 private:
  Ref context_;  // empty: there was none to leave
};

}  // namespace inferkit::event_loop
