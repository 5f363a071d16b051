#include "bindings/future_end.h"

#include <new>
#include <utility>

#include "bindings/notifier.h"
#include "bindings/raised.h"
#include "bindings/ref.h"

namespace inferkit {
namespace {

constexpr int kLastOfCanceller = 3;  // interrupted so often in a row, it is meant
constexpr int kUnrested = 10;        // attempts at once; then others are to make memory
constexpr int kLastAttempt = 3000;   // with a rest before each: half a minute
constexpr int kWithMemory = 30;      // attempts that one costs which failed for another reason

// Attempts number `attempt` to `last`; the very first is 1. False: it never came to its end.
bool try_to_end(PyObject* future, PyObject* outcome, int attempt, int last, const Engine& engine) {
  Ref raised;
  Ref ended;
  for (; attempt <= last && !engine.forked(); ++attempt) {
    PyObject* const again = attempt == 1 ? Py_False : Py_True;
    ended = Ref::steal(PyObject_CallMethod(future, "_end", "OO", outcome, again));
    if (ended) break;
    const bool no_memory = PyErr_ExceptionMatches(PyExc_MemoryError) != 0;
    if (!raised) {
      raised = take_raised();
    } else if (no_memory) {
      PyErr_Clear();
    } else {
      PyErr_WriteUnraisable(future);
    }
    if (attempt <= kUnrested) continue;
    Notifier::rest();
    if (!no_memory) attempt += kWithMemory;
  }
  if (raised) raise(std::move(raised));
  return bool{ended};
}

// Threads: made and run with the GIL. Owns: itself, and the future.
class LateEnd final : public Errand {
 public:
  LateEnd(PyObject* future, std::shared_ptr<Engine> engine)
      : future_(Ref::borrow(future)), engine_(std::move(engine)) {}

 private:
  void run() override {
    const std::unique_ptr<LateEnd> self(this);
    static_cast<void>(
        try_to_end(future_.get(), Py_None, kLastOfCanceller + 1, kLastAttempt, *engine_));
  }

  const Ref future_;
  const std::shared_ptr<Engine> engine_;
};

}  // namespace

void end_future(PyObject* future, PyObject* outcome, const std::shared_ptr<Engine>& engine) {
  static_cast<void>(try_to_end(future, outcome, 1, kLastAttempt, *engine));
}

void end_cancelled_future(PyObject* future, const std::shared_ptr<Engine>& engine) {
  if (try_to_end(future, Py_None, 1, kLastOfCanceller, *engine)) return;
  auto* late = new (std::nothrow) LateEnd(future, engine);
  if (late != nullptr) Notifier::ask(*late);
}

}  // namespace inferkit
