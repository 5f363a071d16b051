#include "bindings/loop_ports.h"

#include <pthread.h>

#include <type_traits>

#include "bindings/errors.h"

namespace inferkit {
namespace {

// Ports that no session has. They live for ever, so that nobody has to prove that nobody wakes
// them any more; there are as many as event loops ever awaited sessions at one time.
using IdlePorts = Inbox<StdAtom, LoopPort>;
constinit IdlePorts the_idle_ports;
static_assert(std::is_trivially_destructible_v<IdlePorts>, "usable to the very end of the process");

// The parent's ports share their descriptors with ours, and with those of every other child: one
// would read away the wake of another. The handler may run where a thread that the child does not
// have was in the midst of anything, and before an exec: it allocates nothing, takes no lock, and
// leaks the ports. One that was being pushed at that moment is in the list or not.
void forget_in_child() { static_cast<void>(the_idle_ports.drain()); }

[[maybe_unused]] const int fork_hook = pthread_atfork(nullptr, nullptr, forget_in_child);

IdlePorts& idle_ports() noexcept { return the_idle_ports; }

// Takers have the GIL: they come one at a time. Throws: Error(system_limit), std::bad_alloc.
LoopPort* take_idle_port() {
  LoopPort* port = idle_ports().drain();
  if (port == nullptr) return new LoopPort;
  for (LoopPort* other = port->next; other != nullptr;) {
    LoopPort* following = other->next;
    idle_ports().push(other);
    other = following;
  }
  return port;
}

}  // namespace

// What dies with the session object.
class LoopPorts::SessionEnd {
 public:
  explicit SessionEnd(std::shared_ptr<LoopPorts> all) : ports(std::move(all)) {}
  ~SessionEnd() {
    ports->session_ = nullptr;
    ports->retire();
  }
  SessionEnd(const SessionEnd&) = delete;
  SessionEnd& operator=(const SessionEnd&) = delete;

  const std::shared_ptr<LoopPorts> ports;
};

void LoopPorts::prepare(SessionObject* session, Engine& engine) {
  const auto ports = std::make_shared<LoopPorts>();
  ports->session_ = session;
  engine.set_room_hook([ports] { ports->wake_lines(); });
  session->deliveries = std::make_shared<SessionEnd>(ports);
}

LoopPorts& LoopPorts::of(SessionObject* session) noexcept {
  return *static_cast<SessionEnd*>(session->deliveries.get())->ports;
}

LoopPorts::~LoopPorts() {
  for (LoopPort* port = newest_.load(std::memory_order_acquire); port != nullptr;) {
    LoopPort* older = port->older;
    idle_ports().push(port);
    port = older;
  }
}

LoopPort* LoopPorts::port_of(PyObject* loop) {
  if (recent_ != nullptr && recent_->loop() == loop) return recent_;
  for (LoopPort* port = newest(); port != nullptr; port = port->older) {
    if (port->loop() == loop) return recent_ = port;
  }
  sweep();
  return recent_ = attach_spare(loop);
}

LoopPort* LoopPorts::attach_spare(PyObject* loop) {
  LoopPort* port = newest();
  while (port != nullptr && !port->is_spare()) port = port->older;
  try {
    if (port == nullptr) {
      port = take_idle_port();
      port->older = newest();
      // release: pairs with wake_lines(), which reads `older`.
      newest_.store(port, std::memory_order_release);
    }
    return port->attach(loop, *this) ? port : nullptr;
  } catch (const Error& error) {  // no descriptor is left
    set_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  return nullptr;
}

void LoopPorts::sweep() {
  for (LoopPort* port = newest(); port != nullptr; port = port->older) port->sweep();
}

void LoopPorts::retire() {
  for (LoopPort* port = newest(); port != nullptr; port = port->older) port->retire();
}

void LoopPorts::wake_lines() noexcept {
  meet_givers();
  LoopPort* port = newest_.load(std::memory_order_acquire);
  for (; port != nullptr; port = port->older) {
    if (port->has_line.load(std::memory_order_relaxed)) port->wake();
  }
}

Ref LoopPorts::session() const noexcept {
  // Nobody may revive an object whose end has begun.
  if (session_ == nullptr || Py_REFCNT(object_of(session_)) == 0) return {};
  return Ref::borrow(object_of(session_));
}

void sweep_closed_loops(SessionObject* session) {
  // After a fork they are the parent's.
  if (session->deliveries != nullptr && !session->engine->forked()) LoopPorts::of(session).sweep();
}

void leave_event_loops(SessionObject* session) {
  if (session->deliveries == nullptr) return;
  LoopPorts::of(session).sweep();
  LoopPorts::of(session).retire();
}

}  // namespace inferkit
