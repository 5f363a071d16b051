#include "bindings/loop_port.h"

#include <atomic>
#include <memory>
#include <utility>

#include "bindings/event_loop.h"
#include "bindings/loop_ports.h"
#include "bindings/raised.h"

namespace inferkit {
namespace {

constexpr const char* kCapsule = "inferkit.LoopPort.Attachment";
constexpr const char* kPortCapsule = "inferkit.LoopPort";

// What a loop holds of us. Its end is how a loop without a farewell says that it is closed.
struct Attachment {
  std::shared_ptr<LoopPorts> ports;
  LoopPort* port = nullptr;
};

void forgotten_by_loop(PyObject* capsule) {
  const RaisedAside aside;
  const std::unique_ptr<Attachment> attachment(
      static_cast<Attachment*>(PyCapsule_GetPointer(capsule, kCapsule)));
  if (attachment->port->is_attached_by(capsule)) attachment->port->lose_loop();
}

// The port that a callback of the loop is meant for; null where it belongs to another by now.
LoopPort* port_of(PyObject* capsule) {
  auto* attachment = static_cast<Attachment*>(PyCapsule_GetPointer(capsule, kCapsule));
  return attachment->port->is_attached_by(capsule) ? attachment->port : nullptr;
}

PyObject* drain(PyObject* capsule, PyObject* /*unused*/) {
  LoopPort* port = port_of(capsule);
  if (port != nullptr && !port->drain()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* flush(PyObject* capsule, PyObject* /*unused*/) {
  LoopPort* port = port_of(capsule);
  if (port != nullptr && !port->flush()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* get_loop(PyObject* capsule, PyObject* /*unused*/) {
  return static_cast<LoopPort*>(PyCapsule_GetPointer(capsule, kPortCapsule))->get_loop();
}

PyMethodDef kGetLoop = {"get_loop", get_loop, METH_NOARGS, nullptr};
PyMethodDef kDrain = {"inferkit_resume_callers", drain, METH_NOARGS, nullptr};
PyMethodDef kFlush = {"inferkit_run_batches", flush, METH_NOARGS, nullptr};

}  // namespace

Ref LoopPort::callback(Callback which) const {
  PyMethodDef& def = which == Callback::drain ? kDrain : kFlush;
  return Ref::steal(PyCFunction_New(&def, attachment_));
}

PyObject* LoopPort::get_loop() const {
  if (loop_ != nullptr) return Py_NewRef(loop_);
  PyErr_SetString(PyExc_RuntimeError, "the coroutine's event loop is closed");
  return nullptr;
}

PyObject* LoopPort::loop_getter() {
  if (loop_getter_ == nullptr) {
    const Ref self = Ref::steal(PyCapsule_New(this, kPortCapsule, nullptr));
    if (self) loop_getter_ = PyCFunction_New(&kGetLoop, self.get());
  }
  return Py_XNewRef(loop_getter_);
}

bool LoopPort::attach(PyObject* loop, LoopPorts& ports) {
  auto attachment = std::make_unique<Attachment>(Attachment{ports.shared_from_this(), this});
  Ref capsule = Ref::steal(PyCapsule_New(attachment.get(), kCapsule, forgotten_by_loop));
  if (!capsule) return false;
  static_cast<void>(attachment.release());  // the capsule's
  ports_ = &ports;
  loop_ = loop;
  attachment_ = capsule.get();
  watched_ = true;
  retiring_ = false;
  refused_visits_ = 0;
  fork_guard_ = ForkGuard();
  last_flushes_ = {};
  spent_ = 0;
  descriptor_.clear();
  reach_by(true);
  const Ref on_readable = callback(Callback::drain);
  const auto watch = on_readable
                         ? event_loop::add_reader(loop, descriptor_.watched(), on_readable.get())
                         : event_loop::Watch::failed;
  if (watch == event_loop::Watch::watched) return true;
  if (watch == event_loop::Watch::failed || !Notifier::start()) {
    // The capsule may live on, in the error's traceback: it is nobody's from now on.
    loop_ = nullptr;
    attachment_ = nullptr;
    reach_by(false);
    return false;
  }
  watched_ = false;
  Py_INCREF(loop);
  static_cast<void>(capsule.release());
  reach_by(false);
  return true;
}

void LoopPort::lose_loop() {
  const bool owned = !watched_;
  PyObject* loop = std::exchange(loop_, nullptr);
  PyObject* capsule = std::exchange(attachment_, nullptr);
  const Ref drop_loop = Ref::steal(owned ? loop : nullptr);
  const Ref drop_capsule = Ref::steal(owned ? capsule : nullptr);
  flush_scheduled_ = false;
  reach_by(false);
  losing_ = true;
  drop_callers();
  losing_ = false;
  if (outstanding_ == 0 || fork_guard_.in_child()) return;
  // The answers to come keep their coroutines and the session: somebody has to take them.
  if (Notifier::start()) {
    Notifier::ask(visit_);
  } else {
    PyErr_Clear();  // at the end of Python nobody minds
  }
}

void LoopPort::leave_if_retired() {
  const bool busy = outstanding_ != 0 || line_first_ != nullptr || answered_first_ != nullptr;
  // A child's copy of the loop has the parent's very registration.
  if (!retiring_ || busy || loop_ == nullptr || fork_guard_.in_child()) return;
  const RaisedAside aside;
  if (watched_) {
    // The capsule goes with the callback, at the latest when the one that runs now is over.
    event_loop::remove_reader(loop_, descriptor_.watched());
  } else {
    lose_loop();
  }
}

void LoopPort::sweep() {
  const Ref loop = Ref::borrow(loop_);  // whatever Python code runs meanwhile
  if (loop && !watched_ && event_loop::is_closed(loop.get())) lose_loop();
  if (loop_ == nullptr) collect(nullptr);
}

void LoopPort::retire() {
  retiring_ = true;
  if (loop_ == nullptr) return;
  if (event_loop::runs_here(loop_)) leave_if_retired();
  if (loop_ != nullptr) wake();
}

void LoopPort::wake() noexcept {
  // acq_rel, and not just a load: pairs with reach_by(). Of the two one is the second: either we
  // see how to get through now, or the visit that follows a change of it sees what we delivered.
  if (by_descriptor_.fetch_or(0, std::memory_order_acq_rel) != 0) {
    descriptor_.set();
  } else {
    Notifier::ask(visit_);
  }
}

void LoopPort::reach_by(bool descriptor) noexcept {
  by_descriptor_.exchange(descriptor ? 1 : 0, std::memory_order_acq_rel);  // pairs with wake()
}

void LoopPort::visit() {
  if (loop_ == nullptr) return collect(nullptr);
  const Ref loop = Ref::borrow(loop_);  // whatever Python code runs meanwhile
  const Ref on_answers = callback(Callback::drain);
  if (on_answers && event_loop::call_soon_threadsafe(loop.get(), on_answers.get())) {
    refused_visits_ = 0;
    return;
  }
  PyErr_Clear();                            // closed, most likely; or there is no memory
  constexpr std::uint32_t kPatience = 500;  // of ten milliseconds each; then it is broken for good
  if (++refused_visits_ < kPatience && !event_loop::is_closed(loop.get())) {
    Notifier::rest();
    return Notifier::ask(visit_);
  }
  if (loop_ != loop.get()) return;  // meanwhile
  lose_loop();
  collect(nullptr);
}

}  // namespace inferkit
