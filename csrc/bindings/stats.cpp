#include "bindings/stats.h"

#include <Python.h>

#include <cstdint>

#include "bindings/loop_ports.h"
#include "bindings/session.h"

namespace inferkit {
namespace {

// Name in Python, where it is in EngineStats. inferkit.Stats has exactly these fields and
// batch_sizes; a field that one side lacks fails the first stats().
#define INFERKIT_STATS(X)                                                                         \
  X(accepted, accepted) X(answered, answered) X(failed, failed) X(cancelled, cancelled)           \
  X(expired, expired) X(closed, closed) X(in_flight, in_flight) X(undeliverable, undeliverable)   \
  X(rejected, rejected) X(batches, batches) X(rows, rows) X(retried_batches, retried_batches)     \
  X(lent_runs, lent_runs) X(inline_runs, inline_runs) X(runner_wakes, runner_wakes)               \
  X(keeper_wakes, keeper_wakes) X(caller_wakes, caller_wakes) X(sink_wakes, sink_wakes)           \
  X(queued_bytes, queued_bytes) X(pool_bytes_reserved, pool.bytes_reserved)                       \
  X(pool_bytes_in_use, pool.bytes_in_use) X(pool_blocks_in_use, pool.blocks_in_use)               \
  X(pool_allocations, pool.allocations) X(pool_misses, pool.misses)

bool put(PyObject* dict, const char* name, std::uint64_t value) {
  const Ref number = Ref::steal(PyLong_FromUnsignedLongLong(value));
  return number && PyDict_SetItemString(dict, name, number.get()) == 0;
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
#define INFERKIT_PUT(name, where) \
  if (!put(fields.get(), #name, now.where)) return nullptr;
  INFERKIT_STATS(INFERKIT_PUT)
#undef INFERKIT_PUT
  if (!put_batch_sizes(fields.get(), now)) return nullptr;
  const Ref module = Ref::steal(PyImport_ImportModule("inferkit._facts"));
  if (!module) return nullptr;
  const Ref type = Ref::steal(PyObject_GetAttrString(module.get(), "Stats"));
  const Ref none = Ref::steal(PyTuple_New(0));
  return type && none ? PyObject_Call(type.get(), none.get(), fields.get()) : nullptr;
}

PyMethodDef kStats = {
    "stats", stats, METH_NOARGS,
    "stats(self) -> inferkit.Stats\n\n"
    "Count what the session has done since it was opened; works on a closed session too.\n\n"
    "Returns:\n"
    "    A snapshot. accepted = answered + failed + cancelled + expired + closed + in_flight\n"
    "    holds exactly whenever nothing moves."};

}  // namespace

bool add_stats() { return add_session_method(kStats); }

}  // namespace inferkit
