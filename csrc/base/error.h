// The one error type of the core, and the table that names every kind.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace inferkit {

// code, Python class in inferkit.errors, cause, fix. The bindings, docs/errors.md and the
// completeness test read this table; a code without a Python class fails the import.
#define INFERKIT_ERROR_CODES(X)                                                                   \
  X(model_load, "ModelLoadError", "The model file or bytes could not be turned into a session.",  \
    "Check the path and that onnxruntime itself can load the model; the text quotes its reason.") \
  X(runtime_not_found, "RuntimeNotFoundError",                                                    \
    "No usable ONNX Runtime library is installed in this environment.",                           \
    "Install one: pip install \"inferkit[cpu]\" or pip install \"inferkit[gpu]\".")               \
  X(invalid_input, "InvalidInputError",                                                           \
    "A feed or an argument does not fit: name, dtype, rank, dimension, rows or value.",           \
    "Compare with session.inputs; the text names the input, what was expected and what came.")    \
  X(queue_full, "QueueFullError",                                                                 \
    "max_pending requests or max_pending_bytes bytes are accepted and not yet answered, or "      \
    "max_memory_bytes are in use.",                                                               \
    "Slow the callers, raise the bound, or pass when_full=\"wait\" with a timeout.")              \
  X(deadline_exceeded, "DeadlineExceededError",                                                   \
    "The timeout of the call ran out before its answer was ready.",                               \
    "Give more time, shed load earlier, or look at session.stats() for where the time goes.")     \
  X(session_closed, "SessionClosedError", "The session is closed or closing.",                    \
    "Open a new session; submit only before close().")                                            \
  X(forked_session, "ForkedSessionError",                                                         \
    "The session was opened before fork(); its threads do not exist in this process.",            \
    "Open the session after the fork: gunicorn post_fork, Celery worker_process_init, or the "    \
    "application's lifespan hook.")                                                               \
  X(out_of_memory, "OutOfMemoryError",                                                            \
    "There was no memory for a run, on the host or its device, or none left of "                  \
    "max_memory_bytes.",                                                                          \
    "Lower max_batch_size or instances, or give the process more memory; a batch was halved and " \
    "run again before this was told to a request that is alone too large.")                       \
  X(system_limit, "SystemLimitError",                                                             \
    "The operating system refused a file descriptor or a thread.",                                \
    "Raise the limit (ulimit -n, ulimit -u, the container's own) or free some; .errno says "      \
    "which.")                                                                                     \
  X(backend, "BackendError", "ONNX Runtime failed while running the model.",                      \
    "The text quotes ONNX Runtime; .code holds its error code.")                                  \
  X(integrity, "IntegrityError", "Model bytes do not match what was promised for them.",          \
    "Fetch or sign the model again; never run it as it is.")

enum class ErrorCode : std::uint8_t {
#define INFERKIT_ENUM(code, python, cause, fix) code,
  INFERKIT_ERROR_CODES(INFERKIT_ENUM)
#undef INFERKIT_ENUM
};

struct ErrorEntry {
  ErrorCode code;
  std::string_view name;
  std::string_view python_class;
  std::string_view cause;
  std::string_view fix;
};

// A value: what went wrong, in one line a user can act on. Copyable, so that one failure can be
// told to every member of a batch. `backend_code` is ONNX Runtime's own code, with system_limit the
// system's errno; 0 elsewhere.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, int backend_code = 0)
      : code_(code), backend_code_(backend_code), message_(std::move(message)) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] int backend_code() const noexcept { return backend_code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  int backend_code_;
  std::string message_;
};

// One failure told to many: handing it on takes no memory.
using SharedError = std::shared_ptr<const Error>;

// Throws: std::bad_alloc. Without heap the text may also be cut short: streams keep that to
// themselves.
template <class... Parts>
[[nodiscard]] std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, text(parts...));
}

}  // namespace inferkit
