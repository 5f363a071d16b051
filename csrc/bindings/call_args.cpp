#include "bindings/call_args.h"

#include <cmath>
#include <limits>

#include "bindings/errors.h"

namespace inferkit {
namespace {

// False for what nobody may swallow, such as KeyboardInterrupt.
bool forget_error() {
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  PyErr_Clear();
  return true;
}

bool refuse(const char* name, const char* expected, PyObject* actual) {
  const Ref shown = Ref::steal(PyObject_Repr(actual));
  const char* text = shown ? PyUnicode_AsUTF8(shown.get()) : nullptr;
  if (text == nullptr) {  // an int of 5,000 digits, for one, does not show itself
    if (!forget_error()) return false;
    text = Py_TYPE(actual)->tp_name;
  }
  set_error(Error(ErrorCode::invalid_input,
                  inferkit::text(name, ": expected ", expected, ", got ", text)));
  return false;
}

bool read_priority(PyObject* value, std::int32_t& priority) {
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(value, &overflow);
  const bool failed = number == -1 && PyErr_Occurred() != nullptr;
  if (failed && !forget_error()) return false;
  if (failed || overflow != 0 || number < std::numeric_limits<std::int32_t>::min() ||
      number > std::numeric_limits<std::int32_t>::max()) {
    return refuse("priority", "an int of 32 bits", value);
  }
  priority = static_cast<std::int32_t>(number);
  return true;
}

bool read_when_full(PyObject* value, bool& wait) {
  if (value == Py_None) return true;
  if (PyUnicode_Check(value)) {
    wait = PyUnicode_CompareWithASCIIString(value, "wait") == 0;
    if (wait || PyUnicode_CompareWithASCIIString(value, "raise") == 0) return true;
  }
  return refuse("when_full", "'raise', 'wait' or None", value);
}

bool read_keyword(PyObject* name, PyObject* value, const Engine& engine, CallArgs& call) {
  const auto is = [name](const char* other) {
    return PyUnicode_CompareWithASCIIString(name, other) == 0;
  };
  if (is("timeout")) return read_timeout(value, engine.clock(), call.deadline);
  if (is("priority")) return read_priority(value, call.priority);
  if (is("when_full")) return read_when_full(value, call.wait_when_full);
  if (is("outputs")) {
    if (value != Py_None) call.outputs = value;
    return true;
  }
  if (is("feeds") && call.feeds == nullptr) {
    call.feeds = value;
    return true;
  }
  PyErr_Format(PyExc_TypeError,
               is("feeds") ? "got two values for argument '%U'"
                           : "got an unexpected keyword argument '%U'; expected feeds, outputs, "
                             "timeout, priority or when_full",
               name);
  return false;
}

}  // namespace

bool read_timeout(PyObject* value, const Clock& clock, TimeNs& deadline) {
  if (value == Py_None) return true;
  constexpr const char* kExpected = "seconds >= 0, or None";
  const double seconds = PyFloat_AsDouble(value);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) {
    if (!forget_error()) return false;
    return refuse("timeout", kExpected, value);
  }
  if (!(seconds >= 0)) return refuse("timeout", kExpected, value);
  // More than a century is for ever; below it nothing overflows.
  constexpr double kForever = 3.2e9;
  if (seconds < kForever) deadline = clock.now() + static_cast<DurationNs>(seconds * 1e9);
  return true;
}

bool parse_call(SessionObject* session, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                CallArgs& call) {
  const Engine* engine = engine_of(session);
  if (engine == nullptr) return false;
  call.wait_when_full = session->facts->wait_when_full;
  if (nargs > 1) {
    PyErr_Format(PyExc_TypeError, "takes one positional argument, feeds, but %zd were given",
                 nargs);
    return false;
  }
  if (nargs == 1) call.feeds = args[0];
  const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  for (Py_ssize_t i = 0; i < keywords; ++i) {
    if (!read_keyword(PyTuple_GET_ITEM(kwnames, i), args[nargs + i], *engine, call)) return false;
  }
  if (call.feeds == nullptr) {
    PyErr_SetString(PyExc_TypeError, "missing the argument 'feeds'");
    return false;
  }
  return true;
}

}  // namespace inferkit
