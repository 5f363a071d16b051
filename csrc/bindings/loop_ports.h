// The ports of one session, one for each event loop that awaits it.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>
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
  // Of a session that is about to get this engine. Throws: std::bad_alloc.
  static void prepare(SessionObject* session, Engine& engine);
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
  // Of two that meet here one is the second, and sees all that the first did before: either the
  // giver of room finds the line, or who stood in line finds the room at the next attempt.
  // acq_rel: pairs with itself. No fence: ThreadSanitizer knows none.
  void meet_givers() noexcept { meetings_.fetch_add(1, std::memory_order_acq_rel); }
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
  std::atomic<std::uint32_t> meetings_{0};
};

// For the session's stats(): counts the answers that came for closed event loops.
void sweep_closed_loops(SessionObject* session);
// For the session's close(), when the engine is closed: event loops forget it.
void leave_event_loops(SessionObject* session);

}  // namespace inferkit
