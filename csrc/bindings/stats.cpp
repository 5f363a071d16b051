#include "bindings/stats.h"

#include <Python.h>

#include <cstdint>

#include "bindings/errors.h"
#include "bindings/loop_ports.h"
#include "bindings/session.h"

namespace inferkit {
namespace {

// Every number of a field table, under its name there. inferkit.Stats has exactly these fields and
// batch_sizes; one that either side lacks fails the first stats().
template <class Counters>
bool put_all(PyObject* dict, const Counters& counters) {
  bool fine = true;
  for_each_field(counters, [&](const auto& row, std::uint64_t value) {
    if (!fine) return;
    const Ref number = Ref::steal(PyLong_FromUnsignedLongLong(value));
    fine = number && PyDict_SetItemString(dict, row.name.data(), number.get()) == 0;
  });
  return fine;
}

bool put_batch_sizes(PyObject* dict, const EngineStats& stats) {
  const Ref sizes = Ref::steal(PyDict_New());
  if (!sizes) return false;
  for (const auto& [rows, count] : stats.batch_sizes) {
    const Ref key = Ref::steal(PyLong_FromUnsignedLong(rows));
    const Ref value = Ref::steal(PyLong_FromUnsignedLongLong(count));
    if (!key || !value || PyDict_SetItem(sizes.get(), key.get(), value.get()) < 0) return false;
  }
  return PyDict_SetItemString(dict, "batch_sizes", sizes.get()) == 0;
}

PyObject* stats(PyObject* self, PyObject* /*unused*/) {
  const Engine* engine = engine_of(session_of(self));
  if (engine == nullptr) return nullptr;
  sweep_closed_loops(session_of(self));
  const EngineStats now = engine->stats();
  const Ref fields = Ref::steal(PyDict_New());
  if (!fields) return nullptr;
  const EngineCounters& counters = now;
  if (!put_all(fields.get(), counters) || !put_all(fields.get(), now.pool)) return nullptr;
  if (!put_batch_sizes(fields.get(), now)) return nullptr;
  const Ref module = Ref::steal(PyImport_ImportModule("inferkit._facts"));
  if (!module) return nullptr;
  const Ref type = Ref::steal(PyObject_GetAttrString(module.get(), "Stats"));
  const Ref none = Ref::steal(PyTuple_New(0));
  return type && none ? PyObject_Call(type.get(), none.get(), fields.get()) : nullptr;
}

PyMethodDef kStats = {
    "stats", or_no_memory<stats, PyObject*>, METH_NOARGS,
    "stats(self) -> inferkit.Stats\n\n"
    "Count what the session has done since it was opened; works on a closed session too.\n\n"
    "Returns:\n"
    "    A snapshot. accepted = answered + failed + cancelled + expired + closed + in_flight\n"
    "    holds exactly whenever nothing moves."};

}  // namespace

bool add_stats() { return add_session_method(kStats); }

}  // namespace inferkit
