// Those who wait for room in the session (when_full="wait"), first come first served.
#include <algorithm>
#include <atomic>
#include <utility>

#include "bindings/admission.h"
#include "bindings/event_loop.h"
#include "bindings/loop_port.h"
#include "bindings/loop_ports.h"
#include "bindings/raised.h"

namespace inferkit {
namespace {

PyObject* expire(PyObject* self, PyObject* /*unused*/) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (!coroutine->port->expire(coroutine)) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef kExpire = {"inferkit_deadline", expire, METH_NOARGS, nullptr};

// Empty with an exception set.
Ref start_timer(RunCoroutine* coroutine) {
  const DurationNs left = coroutine->call.deadline - coroutine->session->engine->clock().now();
  const double seconds = static_cast<double>(std::max<DurationNs>(left, 0)) / 1e9;
  const Ref at_deadline = Ref::steal(PyCFunction_New(&kExpire, object_of(coroutine)));
  if (!at_deadline) return {};
  return event_loop::call_later(coroutine->port->loop(), seconds, at_deadline.get());
}

}  // namespace

void LoopPort::expect_room() noexcept {
  has_line.store(true, std::memory_order_relaxed);  // ordered by what follows
  ports_->meet_givers();
}

bool LoopPort::join_line(RunCoroutine* coroutine) {
  if (coroutine->call.deadline != kNever) {
    coroutine->timer = start_timer(coroutine).release();
    if (coroutine->timer == nullptr) return false;
  }
  coroutine->progress = Progress::waiting;
  Py_INCREF(object_of(coroutine));
  coroutine->previous = line_last_;
  coroutine->next = nullptr;
  (line_last_ == nullptr ? line_first_ : line_last_->next) = coroutine;
  line_last_ = coroutine;
  return true;
}

// The line's reference is the caller's from now on.
void LoopPort::leave_line(RunCoroutine* coroutine) {
  RunCoroutine* before = std::exchange(coroutine->previous, nullptr);
  RunCoroutine* behind = std::exchange(coroutine->next, nullptr);
  (before == nullptr ? line_first_ : before->next) = behind;
  (behind == nullptr ? line_last_ : behind->previous) = before;
  delete std::exchange(coroutine->feeds, nullptr);
  // Until the caller says what it is: Python code runs below, and another thread may cancel it.
  coroutine->progress = Progress::finished;
  const Ref timer = Ref::steal(std::exchange(coroutine->timer, nullptr));
  if (timer) event_loop::cancel_timer(timer.get());
}

void LoopPort::serve_line() {
  while (RunCoroutine* coroutine = line_first_) {
    // The GIL may be let go meanwhile: a task that another thread cancels, which asyncio forbids
    // and people do, hears of it at its next step.
    coroutine->running = true;
    EngineRequest* request = coroutine->feeds->admit(coroutine->session, coroutine->call, this,
                                                     coroutine, IfFull::announce);
    coroutine->running = false;
    const bool refused = request == nullptr && PyErr_Occurred() != nullptr;
    if (request == nullptr && !refused) return;  // the hook wakes us again
    if (refused) {
      fail_waiting(coroutine);
      continue;
    }
    leave_line(coroutine);
    const Ref owned = Ref::steal(object_of(coroutine));
    send_off(coroutine, request, false);
  }
  has_line.store(false, std::memory_order_relaxed);
}

// Gives the exception that is set to a waiting coroutine.
void LoopPort::fail_waiting(RunCoroutine* coroutine) {
  coroutine->error = take_raised().release();
  leave_line(coroutine);
  coroutine->progress = Progress::answered;
  append_answered(coroutine);
}

bool LoopPort::expire(RunCoroutine* coroutine) {
  if (coroutine->progress != Progress::waiting) return true;
  set_no_room_in_time(*coroutine->session->engine);
  fail_waiting(coroutine);
  line_moved();
  return resume_answered();
}

}  // namespace inferkit
