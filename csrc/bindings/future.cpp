#include "bindings/future.h"

#include "bindings/admission.h"
#include "bindings/call_args.h"
#include "bindings/errors.h"
#include "bindings/feeds.h"
#include "bindings/notifier.h"
#include "bindings/pending_call.h"
#include "bindings/ref.h"
#include "bindings/session.h"

namespace inferkit {
namespace {

// A new inferkit.Future; the class is imported when first needed.
Ref new_future() {
  static PyObject* type = nullptr;
  if (type == nullptr) {
    const Ref module = Ref::steal(PyImport_ImportModule("inferkit._future"));
    if (module) type = PyObject_GetAttrString(module.get(), "Future");
  }
  return type == nullptr ? Ref() : Ref::steal(PyObject_CallNoArgs(type));
}

PyObject* submit(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  SessionObject* session = session_of(self);
  CallArgs call;
  Feeds feeds;
  if (!parse_call(session, args, nargs, kwnames, call)) return nullptr;
  Ref future = new_future();
  if (!future) return nullptr;
  PendingCall* pending = new_pending_call(session, future.get());
  const Ref owned = Ref::steal(reinterpret_cast<PyObject*>(pending));
  if (!owned || !select_outputs(session, call.outputs, pending->outputs) ||
      !feeds.read(session, call.feeds) || !Notifier::start() ||
      PyObject_SetAttrString(future.get(), "_call", owned.get()) < 0) {
    return nullptr;
  }
  EngineRequest* request = admit_or_wait(session, call, feeds, &future_sink(), pending);
  if (request == nullptr) {
    Py_CLEAR(pending->future);  // they hold each other
    return nullptr;
  }
  pending->request = request;
  Py_INCREF(owned.get());  // the sink's
  session->engine->submit(request);
  return future.release();
}

PyMethodDef kSubmit = {
    "submit", fast_method<submit>(), METH_FASTCALL | METH_KEYWORDS,
    "submit(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | "
    "numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, "
    "timeout: float | None = None, priority: int = 0, "
    "when_full: typing.Literal['raise', 'wait'] | None = None) -> inferkit._future.Future\n\n"
    "Queue one request and return at once; from any number of threads.\n\n"
    "Args:\n"
    "    feeds: As in run(). The arrays may be changed as soon as the call has returned.\n"
    "    outputs: As in run().\n"
    "    timeout: Seconds from this call until the future's DeadlineExceededError; 0 or more.\n"
    "        Default: none. Future.result(timeout) only limits the waiting.\n"
    "    priority: As in run().\n"
    "    when_full: \"raise\" QueueFullError, or \"wait\" for room (within timeout), which blocks\n"
    "        the calling thread. Default: the session's.\n\n"
    "Returns:\n"
    "    A concurrent.futures.Future of what run() returns; cancel() works while the request is\n"
    "    queued. Its callbacks run on one thread of inferkit's for all sessions.\n\n"
    "Raises:\n"
    "    InvalidInputError: A feed or an argument does not fit; nothing was queued.\n"
    "    QueueFullError: max_pending requests or max_pending_bytes bytes are pending, or\n"
    "        max_memory_bytes are in use.\n"
    "    DeadlineExceededError: The timeout ran out while waiting for room.\n"
    "    SessionClosedError: The session is closed.\n"
    "    ForkedSessionError: The session was opened before fork()."};

}  // namespace

bool add_submit(PyObject* module) {
  return add_pending_call(module) && add_session_method(kSubmit);
}

}  // namespace inferkit
