// How requests leave a port and answers come back.
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "bindings/coroutine_future.h"
#include "bindings/event_loop.h"
#include "bindings/loop_port.h"
#include "bindings/loop_ports.h"
#include "bindings/main_thread.h"
#include "bindings/raised.h"

namespace inferkit {
namespace {

// The port whose callers this thread is resuming now. In a forked child nobody is resumed.
thread_local const LoopPort* resuming_here = nullptr;
[[maybe_unused]] const int fork_hook =
    pthread_atfork(nullptr, nullptr, [] { resuming_here = nullptr; });

Engine& engine_behind(const RunCoroutine* coroutine) noexcept {
  return *coroutine->session->engine;
}

}  // namespace

Ref LoopPort::running_loop() {
  // asyncio asks the system for the process's number every time; inside of our callback we know.
  PyObject* loop = resuming_here == nullptr ? nullptr : resuming_here->loop();
  return loop == nullptr ? event_loop::running() : Ref::borrow(loop);
}

void LoopPort::send_off(RunCoroutine* coroutine, EngineRequest* request, bool at_once) {
  Engine& engine = engine_behind(coroutine);
  coroutine->request = request;
  coroutine->progress = Progress::in_flight;
  Py_INCREF(object_of(coroutine));
  ++outstanding_;
  const std::uint32_t rows = std::max(request->rows, 1U);
  const DurationNs budget = engine.options().inline_budget_ns;
  // Where half of them fits, the loop runs that (see Scheduler::rows_for); alone they have to fit.
  const bool dear = !engine.runs_within(budget, rows, true) ||
                    !engine.runs_within(2 * budget, unflushed_rows_ + rows, true);
  if (dear && !resuming_) return engine.submit(request);
  engine.enqueue(request);
  ++unflushed_;
  unflushed_rows_ += rows;
  if (dear) {
    // Those who were answered together ask again together. Rung for one by one, a runner that is
    // still awake would take the first of them alone. The flush is for a task that runs the loop
    // from within (nest_asyncio in notebooks): it is not resumed before its request is answered.
    ring_when_resumed_ = true;
    if (!flush_scheduled_) schedule_flush();
    return;
  }
  if (flush_scheduled_) return;
  // Company is unlikely where the last two flushes had none. An await that never suspends starves
  // the loop, so even a lone caller goes round once the budget is spent.
  const bool lone = last_flushes_[0] == 1 && last_flushes_[1] == 1;
  if (at_once && lone && spent_ < engine.options().inline_budget_ns) {
    run_at_once(coroutine);
  } else {
    schedule_flush();
  }
}

void LoopPort::run_at_once(const RunCoroutine* taker) {
  Engine& engine = engine_behind(taker);
  unflushed_ = 0;
  unflushed_rows_ = 0;
  // The whole budget, not what is left of it: a run that does not fit would go to a runner, which
  // costs far more than going over by one run.
  spent_ += engine.flush(this, engine.options().inline_budget_ns);
  collect(taker);
  // Others' answers came along; we are inside of a task, so theirs cannot be resumed here.
  if (answered_first_ != nullptr && !resuming_) wake();
}

void LoopPort::schedule_flush() {
  const Ref runs_batches = callback(Callback::flush);
  if (runs_batches && event_loop::call_soon(loop_, runs_batches.get())) {
    flush_scheduled_ = true;
    return;
  }
  // A loop that takes no callbacks: runners can do it, and wake() still gets through.
  if (!raise_later()) PyErr_WriteUnraisable(loop_);
  hand_over();
}

void LoopPort::hand_over() {
  if (std::exchange(unflushed_, 0) == 0) return;
  unflushed_rows_ = 0;
  const Ref session = ports_->session();
  if (!session) return;
  Engine& engine = *session_of(session.get())->engine;
  if (!engine.forked()) engine.flush(this, 0);
}

bool LoopPort::flush() {
  flush_scheduled_ = false;
  const std::uint32_t held = std::exchange(unflushed_, 0);
  unflushed_rows_ = 0;
  const Ref session = ports_->session();
  if (!session || held == 0) return true;
  last_flushes_ = {last_flushes_[1], held};
  Engine& engine = *session_of(session.get())->engine;
  if (engine.forked()) return true;
  // With the GIL: the runs are shorter than getting it back from a busy thread would take.
  spent_ = engine.flush(this, engine.options().inline_budget_ns);
  collect(nullptr);
  return resume_answered();
}

bool LoopPort::drain() {
  // A child's copy of the loop runs while asyncio.run() ends: the wake is the parent's.
  if (fork_guard_.in_child()) return true;
  descriptor_.clear();
  serve_line();
  collect(nullptr);
  bool fine = true;
  {
    const event_loop::OutsideOfContext outside;
    fine = resume_answered();
  }
  leave_if_retired();
  return fine;
}

// Takes the answers in. That of `taker`, whose first step this is, needs no resuming.
void LoopPort::collect(const RunCoroutine* taker) {
  EngineRequest* request = answers.drain();
  while (request != nullptr) {
    EngineRequest* following = request->next;
    auto* coroutine = static_cast<RunCoroutine*>(request->user);
    --outstanding_;
    const bool wanted = coroutine->progress == Progress::in_flight && loop_ != nullptr;
    if (!wanted) {
      // Answered: cancelled in a child of fork, to which its parent's answer came along.
      if (coroutine->progress != Progress::answered) {
        drop_answer(coroutine);
        coroutine->progress = Progress::finished;  // who closes it finds nothing to take back
      }
      Py_DECREF(object_of(coroutine));
    } else if (coroutine == taker) {
      coroutine->progress = Progress::answered;
      Py_DECREF(object_of(coroutine));
    } else {
      coroutine->progress = Progress::answered;
      append_answered(coroutine);
    }
    request = following;
  }
}

void LoopPort::append_answered(RunCoroutine* coroutine) noexcept {
  coroutine->next = nullptr;
  (answered_first_ == nullptr ? answered_first_ : answered_last_->next) = coroutine;
  answered_last_ = coroutine;
}

RunCoroutine* LoopPort::pop_answered() noexcept {
  RunCoroutine* coroutine = answered_first_;
  if (coroutine != nullptr) answered_first_ = std::exchange(coroutine->next, nullptr);
  return coroutine;
}

bool LoopPort::resume_answered() {
  Ref raised;
  const bool nested = std::exchange(resuming_, true);
  const LoopPort* outer = std::exchange(resuming_here, this);
  while (RunCoroutine* coroutine = pop_answered()) {
    const Ref owned = Ref::steal(object_of(coroutine));
    if (resume(coroutine)) continue;
    // KeyboardInterrupt and SystemExit leave the loop, after everybody else was served.
    if (raised) {
      PyErr_WriteUnraisable(owned.get());
    } else {
      raised = take_raised();
    }
  }
  resuming_here = outer;
  resuming_ = nested;
  if (std::exchange(ring_when_resumed_, false)) hand_over();
  if (!raised) return true;
  raise(std::move(raised));
  return false;
}

// The loop is closed: nobody resumes those who wait for room or whose answer is here.
void LoopPort::drop_callers() {
  hand_over();
  while (RunCoroutine* coroutine = pop_answered()) {
    const Ref owned = Ref::steal(object_of(coroutine));
    if (coroutine->progress == Progress::answered) stop(coroutine);
  }
  while (RunCoroutine* coroutine = line_first_) stop(coroutine);
  collect(nullptr);
}

}  // namespace inferkit
