// How a RunCoroutine ends.
#include <utility>

#include "bindings/coroutine.h"
#include "bindings/errors.h"
#include "bindings/loop_port.h"
#include "bindings/raised.h"
#include "bindings/results.h"

namespace inferkit {
namespace {

bool is_answer(const EngineRequest& request) noexcept {
  const RequestState state = request.state();
  return state == RequestState::done || state == RequestState::failed;
}

}  // namespace

bool take_back(RunCoroutine* coroutine) {
  LoopPort* port = coroutine->port;
  if (coroutine->progress == Progress::waiting) {
    port->leave_line(coroutine);
    port->line_moved();
  } else {
    Engine& engine = *coroutine->session->engine;
    if (engine.forked()) {
      // The parent's: nobody here will answer it. If its answer came along with the fork, the port
      // still knows the coroutine: its reference stays, and so does the record.
      coroutine->request = nullptr;
      return true;
    }
    if (!engine.cancel(coroutine->request, true)) return false;
    engine.release(std::exchange(coroutine->request, nullptr));
    port->forget_request();
  }
  Py_DECREF(object_of(coroutine));  // the port's; the caller has its own
  return true;
}

void unpack_answer(RunCoroutine* coroutine) {
  // Taken first: Python code may run below and ask again.
  EngineRequest* request = std::exchange(coroutine->request, nullptr);
  if (request == nullptr) return;
  coroutine->owed = is_answer(*request);
  if (request->state() == RequestState::done) {
    coroutine->result = make_result(coroutine->session, request, coroutine->outputs);
  } else {
    raise_request_error(coroutine->session, *request);
  }
  if (coroutine->result == nullptr) coroutine->error = take_raised().release();
  coroutine->session->engine->release(request);
}

void drop_answer(RunCoroutine* coroutine) {
  Engine& engine = *coroutine->session->engine;
  EngineRequest* request = std::exchange(coroutine->request, nullptr);
  const bool owed = std::exchange(coroutine->owed, false);
  if (owed || (request != nullptr && is_answer(*request))) engine.note_undeliverable();
  if (request != nullptr) engine.release(request);
  Py_CLEAR(coroutine->result);
  Py_CLEAR(coroutine->error);
}

PySendResult finish(RunCoroutine* coroutine, PyObject** result) {
  unpack_answer(coroutine);
  coroutine->progress = Progress::finished;
  coroutine->owed = false;
  *result = std::exchange(coroutine->result, nullptr);
  if (coroutine->error == nullptr) return PYGEN_RETURN;
  raise(Ref::steal(std::exchange(coroutine->error, nullptr)));
  return PYGEN_ERROR;
}

void stop(RunCoroutine* coroutine) {
  const Ref alive = Ref::borrow(object_of(coroutine));
  switch (coroutine->progress) {
    case Progress::created:
      release_arguments(coroutine);
      break;
    case Progress::waiting:
    case Progress::in_flight:
      // What cannot be taken back is dropped by the port when it comes.
      static_cast<void>(take_back(coroutine));
      break;
    case Progress::answered:
      drop_answer(coroutine);
      break;
    case Progress::finished:
      break;
  }
  coroutine->progress = Progress::finished;
}

}  // namespace inferkit
