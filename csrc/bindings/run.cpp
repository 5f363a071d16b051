#include "bindings/run.h"

#include "bindings/admission.h"
#include "bindings/call_args.h"
#include "bindings/errors.h"
#include "bindings/feeds.h"
#include "bindings/gil_turn.h"
#include "bindings/main_thread.h"
#include "bindings/results.h"
#include "bindings/session.h"
#include "bindings/short_runs.h"

namespace inferkit {
namespace {

DurationNs time_of_run(const Engine& engine, const EngineRequest& request) {
  const bool has_result = is_terminal(request.state()) && request.result;
  return has_result ? request.result->finished - request.result->started
                    : engine.clock().now() - request.arrival;
}

// Whether it is answered by the time that a signal's handler may want to run.
bool is_answered_soon(SessionObject* session, EngineRequest* request) {
  Engine& engine = *session->engine;
  ShortRuns& short_runs = session->short_runs;
  // A lone caller has its answer after start(), and reads no clock.
  const auto is_answered = [&] {
    return is_terminal(request->state()) ||
           engine.await(request, slice_end(engine.clock(), kNever));
  };
  if (!short_runs.expects(engine, *request)) {
    bool answered = false;
    {
      const ReleaseGil released;
      engine.start(request);
      answered = is_answered();
    }
    if (answered) short_runs.learn(time_of_run(engine, *request), false);
    return answered;
  }
  if (!may_keep_gil(request->arrival)) {
    const EndOfTurn released(engine.clock());
    engine.start(request);
    return is_answered();
  }
  engine.start(request);
  short_runs.learn(time_of_run(engine, *request), true);
  if (is_terminal(request->state())) return true;
  const EndOfTurn released(engine.clock());  // another one's run comes first
  return is_answered();
}

// False with an exception set, and then the request is no longer ours.
bool wait_for_answer(SessionObject* session, EngineRequest* request) {
  Engine& engine = *session->engine;
  if (is_answered_soon(session, request)) return true;
  while (look_up()) {
    if (is_terminal(request->state())) return true;
    if (engine.forked()) {  // by a signal's handler: the answer will come, but to the parent only
      raise_request_error(session, *request);
      return false;
    }
    const TimeNs until = slice_end(engine.clock(), kNever);
    const ReleaseGil released;
    if (engine.await(request, until)) return true;
  }
  engine.abandon(request);
  return false;
}

PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  SessionObject* session = session_of(self);
  CallArgs call;
  OutputSelection selection;
  Feeds feeds;
  if (!parse_call(session, args, nargs, kwnames, call)) return nullptr;
  if (!select_outputs(session, call.outputs, selection)) return nullptr;
  if (!feeds.read(session, call.feeds)) return nullptr;
  EngineRequest* request = admit_or_wait(session, call, feeds, nullptr, nullptr);
  if (request == nullptr) return nullptr;
  if (!wait_for_answer(session, request)) return nullptr;
  PyObject* result = nullptr;
  if (request->state() == RequestState::done) {
    result = make_result(session, request, selection);
  } else {
    raise_request_error(session, *request);
  }
  session->engine->release(request);
  return result;
}

PyMethodDef kRun = {
    "run", fast_method<run>(), METH_FASTCALL | METH_KEYWORDS,
    "run(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | "
    "numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, "
    "timeout: float | None = None, priority: int = 0, "
    "when_full: typing.Literal['raise', 'wait'] | None = None) -> Result\n\n"
    "Answer one request and wait for it; from any number of threads at once.\n\n"
    "Args:\n"
    "    feeds: Input name to array, or the bare array for a model with one input. Axis 0 counts\n"
    "        rows (any number from 0 on) and is required, as in onnxruntime.\n"
    "        Arrays need the exact dtype of session.inputs, in any memory layout and byte order;\n"
    "        lists and scalars are converted to it. In bool arrays every byte but 0 counts as 1.\n"
    "        The arrays may be changed as soon as the call has returned.\n"
    "    outputs: Names of the wanted outputs, in the wanted order. Default: all.\n"
    "    timeout: Seconds from this call until DeadlineExceededError; 0 or more. Default: none.\n"
    "        A run on the caller's own thread is left at the model's next operator.\n"
    "    priority: Higher goes first among the requests that wait, unless another has waited a\n"
    "        second longer for each step between them. Default: 0.\n"
    "    when_full: \"raise\" QueueFullError, or \"wait\" for room (within timeout). Default: the\n"
    "        session's.\n\n"
    "Returns:\n"
    "    A dict from output name to ndarray; its .info tells how the answer came about.\n\n"
    "Raises:\n"
    "    InvalidInputError: A feed or an argument does not fit; nothing was queued.\n"
    "    QueueFullError: max_pending requests or max_pending_bytes bytes are pending, or\n"
    "        max_memory_bytes are in use.\n"
    "    DeadlineExceededError: The timeout ran out.\n"
    "    SessionClosedError: The session is closed, or was closed before the answer.\n"
    "    ForkedSessionError: The session was opened before fork().\n"
    "    OutOfMemoryError: There was no memory to run this request, even alone.\n"
    "    BackendError: ONNX Runtime failed on this request."};

}  // namespace

bool add_run() { return add_session_method(kRun); }

}  // namespace inferkit
