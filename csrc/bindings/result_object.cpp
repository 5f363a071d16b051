#include "bindings/result_object.h"

#include "bindings/property.h"
#include "bindings/ref.h"

namespace inferkit {
namespace {

// Threads: with the GIL. `info` is made from the numbers when somebody asks.
struct ResultObject {
  PyDictObject dict;
  PyObject* info;
  std::uint32_t rows;
  std::uint32_t batch_rows;
  std::uint32_t batch_requests;
  RanOn ran_on;
  DurationNs queued;
  DurationNs gathered;
  DurationNs ran;
};

PyTypeObject* result_type = nullptr;

ResultObject* result_of(PyObject* self) { return reinterpret_cast<ResultObject*>(self); }

const char* name_of(RanOn ran_on) {
  switch (ran_on) {
    case RanOn::runner:
      return "runner";
    case RanOn::lent_thread:
      return "lent_thread";
    case RanOn::event_loop:
      return "event_loop";
  }
  return "?";
}

double seconds(DurationNs duration) { return static_cast<double>(duration) * 1e-9; }

PyObject* info(PyObject* self, PyObject* /*unused*/) {
  ResultObject* result = result_of(self);
  if (result->info == nullptr) {
    const Ref module = Ref::steal(PyImport_ImportModule("inferkit._facts"));
    if (!module) return nullptr;
    Ref made = Ref::steal(PyObject_CallMethod(module.get(), "ResultInfo", "IIIsddd", result->rows,
                                              result->batch_rows, result->batch_requests,
                                              name_of(result->ran_on), seconds(result->queued),
                                              seconds(result->gathered), seconds(result->ran)));
    if (!made) return nullptr;
    // Another thread may have been quicker while Python code ran.
    if (result->info == nullptr) result->info = made.release();
  }
  return Py_NewRef(result->info);
}

PyObject* reduce(PyObject* self, PyObject* /*unused*/) {
  PyObject* type = reinterpret_cast<PyObject*>(&PyDict_Type);
  const Ref plain = Ref::steal(PyDict_Copy(self));
  return plain ? Py_BuildValue("O(O)", type, plain.get()) : nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(result_of(self)->info);
  return PyDict_Type.tp_traverse(self, visit, arg);
}

int clear(PyObject* self) {
  Py_CLEAR(result_of(self)->info);
  return PyDict_Type.tp_clear(self);
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(result_of(self)->info);
  PyDict_Type.tp_dealloc(self);  // frees the object through our type
  Py_DECREF(type);
}

PyMethodDef kInfo = {
    "info", info, METH_NOARGS,
    "info(self) -> inferkit.ResultInfo\n\n"
    "How this answer came about: the size of its batch, who ran it, how long each step took."};

PyMethodDef kMethods[] = {
    {"__reduce__", reduce, METH_NOARGS,
     "__reduce__(self) -> tuple[typing.Any, ...]\n\nA copy or a message is a plain dict."},
    {nullptr, nullptr, 0, nullptr}};

constexpr const char* kDoc =
    "The outputs of one call: a dict from output name to ndarray, in the model's order (or in "
    "that\n"
    "of outputs=). The arrays are writable and the caller's own.";

PyType_Slot kSlots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                        {Py_tp_clear, reinterpret_cast<void*>(clear)},
                        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                        {Py_tp_methods, kMethods},
                        {0, nullptr}};

PyType_Spec kSpec = {"inferkit._core.Result", sizeof(ResultObject), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                     kSlots};

}  // namespace

PyObject* new_result(const EngineRequest& request) {
  static PyObject* const no_arguments = PyTuple_New(0);
  PyObject* self = PyDict_Type.tp_new(result_type, no_arguments, nullptr);
  if (self == nullptr) return nullptr;
  ResultObject* result = result_of(self);
  result->rows = request.rows;
  if (request.result) {
    const BatchResult& batch = *request.result;
    result->batch_rows = batch.rows;
    result->batch_requests = batch.requests;
    result->ran_on = batch.ran_on;
    result->queued = batch.claimed - request.arrival;
    result->gathered = batch.started - batch.claimed;
    result->ran = batch.finished - batch.started;
  }
  return self;
}

bool add_result(PyObject* module) {
  PyObject* base = reinterpret_cast<PyObject*>(&PyDict_Type);
  result_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &kSpec, base));
  return result_type != nullptr && PyModule_AddType(module, result_type) == 0 &&
         add_property(result_type, kInfo);
}

}  // namespace inferkit
