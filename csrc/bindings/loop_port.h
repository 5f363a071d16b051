// One event loop's side of one session.
#pragma once

#include <Python.h>

#include <array>
#include <cstdint>

#include "base/fork_guard.h"
#include "bindings/coroutine.h"
#include "bindings/notifier.h"
#include "bindings/ref.h"
#include "bindings/wake_fd.h"
#include "engine/engine.h"

namespace inferkit {

class LoopPorts;

// Requests leave here for the engine and their answers come back: one wake per batch, one callback
// that resumes every caller of the batch. Cheap models are run by the loop's own thread.
// Threads: wake() and has_line from any; the rest with the GIL on the loop's thread, or on any
// while it has no loop. Owns: its descriptor; a reference to every coroutine that waits in its
// line, whose request the engine has, or whose task was not resumed yet.
// Lives for ever and serves one session after another (loop_ports.cpp): a late wake() finds it.
// Throws: the constructor only (WakeFd).
class LoopPort final : public EngineSink {
 public:
  LoopPort() = default;

  // --- its loop (loop_port.cpp) -----------------------------------------------------------------
  // False with an exception set.
  [[nodiscard]] bool attach(PyObject* loop, LoopPorts& ports);
  [[nodiscard]] PyObject* loop() const noexcept { return loop_; }  // borrowed; null: none
  // The same as Python sees it: a new reference, or null with RuntimeError set where it is closed.
  [[nodiscard]] PyObject* get_loop() const;
  // get_loop() as something to call at once, made once: it answers for the port, which may serve
  // another loop later. Null with an exception set.
  [[nodiscard]] PyObject* loop_getter();
  [[nodiscard]] bool is_attached_by(PyObject* capsule) const noexcept {
    return attachment_ == capsule;
  }
  [[nodiscard]] bool is_spare() const noexcept {
    return loop_ == nullptr && outstanding_ == 0 && !losing_;
  }
  // The loop forgets us: it was closed, or we left. Nobody is left to take what comes.
  void lose_loop();
  // Drops what came after that; also finds closed loops that could not tell us.
  void sweep();
  // The session is closed or gone: leave the loop as soon as nothing is outstanding; at once where
  // that is so and the caller is on the loop's thread.
  void retire();
  void wake() noexcept override;

  // --- its callers (loop_traffic.cpp) -----------------------------------------------------------
  // The loop that runs on this thread; empty with RuntimeError set where none does.
  [[nodiscard]] static Ref running_loop();
  // The engine has admitted the coroutine's request. `at_once`: the coroutine takes its first step
  // right now, so it may be `answered` afterwards.
  void send_off(RunCoroutine* coroutine, EngineRequest* request, bool at_once);
  // The engine has given a request back.
  void forget_request() noexcept { --outstanding_; }
  // Callbacks of the loop; false with an exception set.
  [[nodiscard]] bool flush();
  [[nodiscard]] bool drain();

  // --- the line of those who wait for room (loop_line.cpp) --------------------------------------
  [[nodiscard]] bool has_waiters() const noexcept { return line_first_ != nullptr; }
  // Somebody has left the line other than by coming in: who is behind may fit.
  void line_moved() noexcept {
    if (line_first_ != nullptr) wake();
  }
  // From now on room that is made wakes the port.
  void expect_room() noexcept;
  // False with an exception set.
  [[nodiscard]] bool join_line(RunCoroutine* coroutine);
  void leave_line(RunCoroutine* coroutine);
  // Callback of the loop: the deadline of a waiting coroutine has come.
  [[nodiscard]] bool expire(RunCoroutine* coroutine);
  // Read by the room hook.
  StdAtom::Atomic<bool> has_line{false};

  LoopPort* older = nullptr;  // in LoopPorts
  LoopPort* next = nullptr;   // among the ports that no session has

 private:
  // Where wake() cannot reach the loop itself.
  class Visit final : public Errand {
   public:
    explicit Visit(LoopPort& port) : port_(port) {}
    void run() override { port_.visit(); }

   private:
    LoopPort& port_;
  };

  enum class Callback { drain, flush };
  [[nodiscard]] Ref callback(Callback which) const;  // empty with an exception set
  void visit();
  void reach_by(bool descriptor) noexcept;
  void leave_if_retired();
  void hand_over();
  void drop_callers();
  void collect(const RunCoroutine* taker);
  void run_at_once(const RunCoroutine* taker);
  void schedule_flush();
  void append_answered(RunCoroutine* coroutine) noexcept;
  [[nodiscard]] RunCoroutine* pop_answered() noexcept;
  [[nodiscard]] bool resume_answered();
  void serve_line();
  void fail_waiting(RunCoroutine* coroutine);

  WakeFd descriptor_;
  Visit visit_{*this};
  LoopPorts* ports_ = nullptr;        // as long as a loop is attached
  PyObject* loop_ = nullptr;          // borrowed while it watches the descriptor, else owned
  PyObject* attachment_ = nullptr;    // likewise; a capsule whose end tells that the loop forgot us
  PyObject* loop_getter_ = nullptr;   // lives as long as the port
  std::uint32_t refused_visits_ = 0;  // in a row, by a loop that says it is open
  bool losing_ = false;  // Python code may run: the callers of the lost loop are being dropped
  bool watched_ = false;
  ForkGuard fork_guard_;  // of the process that attached it
  bool retiring_ = false;
  StdAtom::Atomic<std::uint32_t> by_descriptor_{0};  // how wake() gets through

  std::uint32_t outstanding_ = 0;  // requests whose answers will come here
  std::uint32_t unflushed_ = 0;    // of them: queued for flush(), not rung for
  std::uint32_t unflushed_rows_ = 0;
  bool flush_scheduled_ = false;
  bool resuming_ = false;
  bool ring_when_resumed_ = false;  // a runner is to take what the resumed have asked for
  std::array<std::uint32_t, 2> last_flushes_{};  // how many requests they held
  DurationNs spent_ = 0;  // on inline runs since the loop last came round to flush()

  RunCoroutine* answered_first_ = nullptr;
  RunCoroutine* answered_last_ = nullptr;
  RunCoroutine* line_first_ = nullptr;
  RunCoroutine* line_last_ = nullptr;
};

}  // namespace inferkit
