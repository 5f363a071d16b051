// The ports of one session, one for each event loop that awaits it.
#pragma once

#include <Python.h>

#include <atomic>
#include <memory>

#include "bindings/loop_port.h"
#include "bindings/ref.h"
#include "bindings/session.h"

namespace inferkit {

// Threads: with the GIL; wake_lines() and the destructor from any. Owns: its ports, which it gives
// back to the process at its end, when the engine, whose room hook holds a share of it, is gone
// and no loop is attached. Does not own the session.
class LoopPorts : public std::enable_shared_from_this<LoopPorts> {
 public:
  // Of a session whose engine was just opened; before its first request.
  static void prepare(SessionObject* session);
  [[nodiscard]] static LoopPorts& of(SessionObject* session) noexcept;

  LoopPorts() = default;
  ~LoopPorts();
  LoopPorts(const LoopPorts&) = delete;
  LoopPorts& operator=(const LoopPorts&) = delete;

  // The port of the loop. Null with an exception set.
  [[nodiscard]] LoopPort* port_of(PyObject* loop);
  // Drops and counts what came for loops that were closed meanwhile.
  void sweep();
  // The session is closed or gone: its loops are let go when nothing is outstanding any more.
  void retire();
  // There may be room again.
  void wake_lines() noexcept;
  // The session, kept alive by the reference; empty once it is going away.
  [[nodiscard]] Ref session() const noexcept;

 private:
  class SessionEnd;

  [[nodiscard]] LoopPort* attach_spare(PyObject* loop);
  [[nodiscard]] LoopPort* newest() const noexcept {
    return newest_.load(std::memory_order_relaxed);  // the GIL orders us
  }

  SessionObject* session_ = nullptr;
  LoopPort* recent_ = nullptr;  // the answer of the last port_of()
  // A list that only grows: wake_lines() reads it without a lock.
  std::atomic<LoopPort*> newest_{nullptr};
};

// For the session's stats(): counts the answers that came for closed event loops.
void sweep_closed_loops(SessionObject* session);
// For the session's close(), when the engine is closed: event loops forget it.
void leave_event_loops(SessionObject* session);

}  // namespace inferkit
