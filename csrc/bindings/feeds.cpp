#include "bindings/feeds.h"

#include <algorithm>
#include <new>
#include <optional>
#include <span>

#include "batch/payload.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/numpy_api.h"

namespace inferkit {
namespace {

// A function of inferkit._inputs, which is imported when first needed. Borrowed.
PyObject* slow_path(const char* name, PyObject*& cached) {
  if (cached != nullptr) return cached;
  const Ref module = Ref::steal(PyImport_ImportModule("inferkit._inputs"));
  if (module) cached = PyObject_GetAttrString(module.get(), name);
  return cached;
}

bool has_type(PyArrayObject* array, int typenum) {
  const int actual = PyArray_TYPE(array);
  return actual == typenum || PyArray_EquivTypenums(actual, typenum) != 0;
}

bool is_plain(PyArrayObject* array) {
  return PyArray_CHKFLAGS(array, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED) &&
         PyArray_ISNOTSWAPPED(array);
}

// An exact ndarray of the right type, in any layout; or what inferkit._inputs makes of the value,
// which is one too, or an exception.
Ref as_array(PyObject* value, PyObject* info, int typenum) {
  const auto fits = [typenum](PyObject* object) {
    return PyArray_CheckExact(object) && has_type(array_of(object), typenum) &&
           PyArray_NDIM(array_of(object)) <= static_cast<int>(kMaxRank);
  };
  if (fits(value)) return Ref::borrow(value);
  static PyObject* function = nullptr;
  if (slow_path("convert", function) == nullptr) return {};
  Ref array = Ref::steal(PyObject_CallFunctionObjArgs(function, value, info, nullptr));
  if (array && !fits(array.get())) {
    PyErr_SetString(PyExc_SystemError, "inferkit._inputs.convert returned no fitting array");
    return {};
  }
  return array;
}

TensorView view_of(PyArrayObject* array, DType dtype) {
  std::array<std::int64_t, kMaxRank> dims{};
  const auto rank = static_cast<std::size_t>(PyArray_NDIM(array));
  std::copy_n(PyArray_DIMS(array), rank, dims.begin());
  return {dtype, Shape(std::span(dims).first(rank)), static_cast<std::byte*>(PyArray_DATA(array))};
}

// C-contiguous, aligned, native byte order.
Ref plain_copy(PyArrayObject* array, int typenum) {
  PyArray_Descr* descr = PyArray_DescrFromType(typenum);  // numpy's own types never fail here
  constexpr int kFlags = NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY | NPY_ARRAY_NOTSWAPPED;
  return Ref::steal(PyArray_FromArray(array, descr, kFlags));
}

// A bool array can be made to hold other bytes than 0 and 1, by a view. ONNX Runtime's kernels
// count on there being none, so those bytes become 1, as numpy itself reads them.
bool normalise_bools(Ref& array) {
  const auto bytes_of = [](const Ref& ref) {
    return std::span(static_cast<std::uint8_t*>(PyArray_DATA(array_of(ref.get()))),
                     static_cast<std::size_t>(PyArray_SIZE(array_of(ref.get()))));
  };
  const std::span<std::uint8_t> seen = bytes_of(array);
  std::uint8_t all = 0;
  for (const std::uint8_t byte : seen) all = static_cast<std::uint8_t>(all | byte);
  if (all <= 1) return true;
  Ref clean = Ref::steal(PyArray_NewLikeArray(array_of(array.get()), NPY_CORDER, nullptr, 0));
  if (!clean) return false;
  std::transform(seen.begin(), seen.end(), bytes_of(clean).begin(),
                 [](std::uint8_t byte) { return static_cast<std::uint8_t>(byte != 0); });
  array = std::move(clean);
  return true;
}

bool too_large(std::uint64_t bytes, std::uint64_t limit) {
  set_error(Error(ErrorCode::invalid_input,
                  text("feeds: expected at most ", limit,
                       " bytes in one request (max_pending_bytes), got ", bytes)));
  return false;
}

std::optional<std::uint32_t> find_output(const SessionFacts& facts, PyObject* name) {
  for (std::size_t i = 0; i < facts.outputs.size(); ++i) {
    PyObject* known = facts.outputs[i].name.get();
    if (known == name || (PyUnicode_Check(name) && PyUnicode_Compare(known, name) == 0)) {
      return static_cast<std::uint32_t>(i);
    }
  }
  return std::nullopt;
}

bool refuse_outputs(SessionObject* session, PyObject* names) {
  static PyObject* function = nullptr;
  if (slow_path("refuse_outputs", function) == nullptr) return false;
  PyObject* infos = session->facts->output_infos.get();
  // It always raises.
  return static_cast<bool>(
      Ref::steal(PyObject_CallFunctionObjArgs(function, names, infos, nullptr)));
}

}  // namespace

bool select_outputs(SessionObject* session, PyObject* names, OutputSelection& out) {
  out.clear();
  if (names == nullptr) return true;
  if (!PyList_Check(names) && !PyTuple_Check(names)) return refuse_outputs(session, names);
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < count; ++i) {
    const auto index = find_output(*session->facts, PySequence_Fast_GET_ITEM(names, i));
    if (!index) return refuse_outputs(session, names);
    out.push_back(*index);
  }
  if (count == 0) return refuse_outputs(session, names);
  return true;
}

void Feeds::reserve(std::size_t count) {
  count_ = count;
  if (count <= kInline) return;
  many_arrays_.resize(count);
  many_views_.resize(count);
}

// One object per input, in the signature's order.
bool Feeds::collect(SessionObject* session, PyObject* feeds) {
  const auto& inputs = session->facts->inputs;
  reserve(inputs.size());
  if (count_ == 1 && PyArray_CheckExact(feeds)) {
    arrays()[0] = Ref::borrow(feeds);
    return true;
  }
  std::size_t found = 0;
  if (PyDict_Check(feeds) && static_cast<std::size_t>(PyDict_GET_SIZE(feeds)) == count_) {
    for (; found < count_; ++found) {
      PyObject* value = PyDict_GetItemWithError(feeds, inputs[found].name.get());
      if (value == nullptr) break;
      arrays()[found] = Ref::borrow(value);
    }
    if (PyErr_Occurred() != nullptr) return false;
    if (found == count_) return true;
  }
  static PyObject* function = nullptr;
  if (slow_path("align", function) == nullptr) return false;
  PyObject* infos = session->facts->input_infos.get();
  const Ref aligned = Ref::steal(PyObject_CallFunctionObjArgs(function, feeds, infos, nullptr));
  if (!aligned) return false;
  for (std::size_t i = 0; i < count_; ++i) {
    PyObject* value = PyList_GetItem(aligned.get(), static_cast<Py_ssize_t>(i));
    if (value == nullptr) return false;
    arrays()[i] = Ref::borrow(value);
  }
  return true;
}

bool Feeds::check_shapes(SessionObject* session) {
  const EngineOptions& options = session->engine->options();
  try {
    const PayloadPlan plan = check_inputs(session->engine->signature(), {views(), count_});
    const std::uint64_t limit = options.max_pending_bytes;
    if (plan.bytes <= limit) return true;
    return too_large(plan.bytes, limit);
  } catch (const Error& error) {
    set_error(error);
    return false;
  }
}

bool Feeds::read(SessionObject* session, PyObject* feeds) {
  if (!collect(session, feeds)) return false;
  const SessionFacts& facts = *session->facts;
  bool plain = true;
  bool final = true;  // nothing below would change a view
  bytes_ = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    PyObject* info = PyTuple_GET_ITEM(facts.input_infos.get(), static_cast<Py_ssize_t>(i));
    Ref array = as_array(arrays()[i].get(), info, facts.inputs[i].typenum);
    if (!array) return false;
    plain = plain && is_plain(array_of(array.get()));
    final = final && array.get() == arrays()[i].get() && facts.inputs[i].dtype != DType::boolean;
    arrays()[i] = std::move(array);
    views()[i] = view_of(array_of(arrays()[i].get()), facts.inputs[i].dtype);
    bytes_ += static_cast<std::size_t>(PyArray_NBYTES(array_of(arrays()[i].get())));
  }
  if (plain && final) return true;
  // What would be too large to copy is refused by its shape.
  return (plain || check_shapes(session)) && settle(facts);
}

// Copies what is not as the model takes it.
bool Feeds::settle(const SessionFacts& facts) {
  bytes_ = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    Ref& array = arrays()[i];
    if (!is_plain(array_of(array.get()))) {
      array = plain_copy(array_of(array.get()), facts.inputs[i].typenum);
      if (!array) return false;
    }
    if (facts.inputs[i].dtype == DType::boolean && !normalise_bools(array)) return false;
    // Once more: what converted a later input may have been Python code that resized this one.
    views()[i] = view_of(array_of(array.get()), facts.inputs[i].dtype);
    bytes_ += static_cast<std::size_t>(PyArray_NBYTES(array_of(array.get())));
  }
  return true;
}

bool Feeds::keep() {
  for (std::size_t i = 0; i < count_; ++i) {
    Ref copy = Ref::steal(PyArray_NewCopy(array_of(arrays()[i].get()), NPY_CORDER));
    if (!copy) return false;
    arrays()[i] = std::move(copy);
    views()[i] = view_of(array_of(arrays()[i].get()), views()[i].dtype);
  }
  return true;
}

EngineRequest* Feeds::admit(SessionObject* session, const CallArgs& call, EngineSink* sink,
                            void* user, IfFull if_full) {
  Engine& engine = *session->engine;
  const Call wanted{call.deadline, call.priority, sink, user};
  const std::span<const TensorView> inputs{views(), count_};
  try {
    if (bytes_ < kReleaseGilBytes) return engine.admit(inputs, wanted, if_full);
    const ReleaseGil released;
    return engine.admit(inputs, wanted, if_full);
  } catch (const Error& error) {
    set_error(error);
  } catch (const std::bad_alloc&) {  // never entered: no test can take C++'s memory away here
    PyErr_NoMemory();
  }
  return nullptr;
}

}  // namespace inferkit
