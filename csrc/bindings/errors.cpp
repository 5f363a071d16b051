#include "bindings/errors.h"

#include <array>
#include <cstddef>

#include "bindings/ref.h"

namespace inferkit {
namespace {

constexpr std::array kTable{
#define INFERKIT_ROW(code, python, cause, fix) \
  ErrorEntry{ErrorCode::code, #code, python, cause, fix},
    INFERKIT_ERROR_CODES(INFERKIT_ROW)
#undef INFERKIT_ROW
};

// Borrowed; null with an exception set. The classes live as long as the process: errors are raised
// until its end.
PyObject* class_of(ErrorCode code) {
  static std::array<PyObject*, kTable.size()> classes{};
  const auto index = static_cast<std::size_t>(code);
  if (classes[index] == nullptr) {
    const Ref module = Ref::steal(PyImport_ImportModule("inferkit.errors"));
    if (!module) return nullptr;
    classes[index] = PyObject_GetAttrString(module.get(), kTable[index].python_class.data());
  }
  return classes[index];
}

Ref text_of(std::string_view text) {
  // The core quotes file names and ONNX Runtime: whatever bytes those held, an error can be told.
  return Ref::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

void set_cancelled() {
  const Ref module = Ref::steal(PyImport_ImportModule("concurrent.futures"));
  if (!module) return;
  const Ref type = Ref::steal(PyObject_GetAttrString(module.get(), "CancelledError"));
  if (type) PyErr_SetNone(type.get());
}

PyObject* error_table(PyObject* /*module*/, PyObject* /*unused*/) {
  Ref table = Ref::steal(PyList_New(0));
  if (!table) return nullptr;
  for (const ErrorEntry& entry : kTable) {
    const Ref row = Ref::steal(Py_BuildValue("(ssss)", entry.name.data(), entry.python_class.data(),
                                             entry.cause.data(), entry.fix.data()));
    if (!row || PyList_Append(table.get(), row.get()) < 0) return nullptr;
  }
  return table.release();
}

PyMethodDef kFunctions[] = {
    {"error_table", error_table, METH_NOARGS,
     "error_table() -> list[tuple[str, str, str, str]]\n\n"
     "Every kind of error of the native core, in order: its code, the name of its class in\n"
     "inferkit.errors, what causes it, and what to do about it."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void set_error(const Error& error) {
  PyObject* type = class_of(error.code());
  if (type == nullptr) return;
  const Ref message = text_of(error.message());
  if (!message) return;
  Ref value;
  switch (error.code()) {
    case ErrorCode::backend:
    case ErrorCode::out_of_memory:
      value = Ref::steal(PyObject_CallFunction(type, "Oi", message.get(), error.backend_code()));
      break;
    case ErrorCode::system_limit:  // as every OSError: the number first
      value = Ref::steal(PyObject_CallFunction(type, "iO", error.backend_code(), message.get()));
      break;
    default:
      return PyErr_SetObject(type, message.get());
  }
  if (value) PyErr_SetObject(type, value.get());
}

void raise_request_error(SessionObject* session, const EngineRequest& request) {
  if (request.state() == RequestState::cancelled) return set_cancelled();
  try {
    set_error(session->engine->error_of(request));
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
}

bool add_errors(PyObject* module) { return PyModule_AddFunctions(module, kFunctions) == 0; }

}  // namespace inferkit
