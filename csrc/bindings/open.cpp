#include "bindings/open.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/ort_backend.h"
#include "base/clock.h"
#include "base/usable_cores.h"
#include "bindings/gil.h"
#include "bindings/info.h"
#include "bindings/loop_ports.h"
#include "bindings/main_thread.h"
#include "bindings/session.h"
#include "engine/engine.h"

namespace inferkit {
namespace {

namespace py = pybind11;

using Config = std::map<std::string, std::string>;

// Everything that opening needs, out of Python's hands.
struct Plan {
  std::string library;
  OrtModel model;
  OrtOptions ort;
  EngineOptions engine;
};

std::uint32_t instances_for(std::uint32_t wanted) {
  return wanted != 0 ? wanted : std::min<std::uint32_t>(usable_cores(), kMaxInstances);
}

BatchAxis batch_axis_of(const std::string& name) {
  if (name == "first") return BatchAxis::first;
  return name == "none" ? BatchAxis::none : BatchAxis::automatic;
}

std::shared_ptr<Engine> open_engine(const Plan& plan) {
  const ReleaseGil released;
  OrtLibrary& library = OrtLibrary::open(plan.library);
  const TimeNs began = steady_clock().now();
  std::unique_ptr<Backend> backend = make_ort_backend(library, plan.model, plan.ort);
  const DurationNs load_time = steady_clock().now() - began;
  return Engine::open(std::move(backend), plan.engine, load_time);
}

SessionObject* unopened(const py::object& self) {
  if (PyObject_TypeCheck(self.ptr(), session_type()) == 0) {
    throw py::type_error("open_session() expects a SessionCore");
  }
  SessionObject* session = session_of(self.ptr());
  if (session->engine != nullptr) throw py::value_error("the session is open already");
  return session;
}

void install(const py::object& self, std::shared_ptr<Engine> engine, const py::str& model,
             const py::str& device, bool wait_when_full) {
  std::unique_ptr<SessionFacts> facts(make_facts(engine->signature()));
  if (facts == nullptr) throw py::error_already_set();
  facts->model = Ref::borrow(model.ptr());
  facts->device = Ref::borrow(device.ptr());
  facts->wait_when_full = wait_when_full;
  SessionObject* session = unopened(self);  // again: the GIL was away
  LoopPorts::prepare(session, *engine);
  session->facts = facts.release();
  session->engine = std::move(engine);  // last: from here on it is open
}

// The names are those of inferkit.Session; 0 stands for "auto". `path` or `content` is empty.
void open_session(const py::object& self, const py::bytes& library, const py::bytes& path,
                  const py::bytes& content, const py::str& model, const py::str& device,
                  std::uint32_t max_batch_size, double max_delay, std::uint32_t instances,
                  std::uint32_t threads, const std::vector<std::string>& providers,
                  const std::map<std::string, Config>& provider_options,
                  const Config& session_config, std::uint32_t max_pending,
                  std::uint64_t max_pending_bytes, std::uint64_t max_memory_bytes,
                  bool wait_when_full, const std::string& batch_axis, bool warmup,
                  const std::string& name) {
  (void)unopened(self);
  if (!note_main_thread()) throw py::error_already_set();
  const std::string_view bytes(content);
  Plan plan;
  plan.library = library;
  plan.model = {path, std::as_bytes(std::span(bytes))};
  plan.ort = {instances_for(instances), threads, providers, provider_options, session_config};
  plan.engine.max_batch_rows = max_batch_size;
  plan.engine.max_delay_ns = static_cast<DurationNs>(max_delay * 1e9);
  plan.engine.instances = plan.ort.instances;
  plan.engine.max_pending = max_pending;
  plan.engine.max_pending_bytes = max_pending_bytes;
  plan.engine.max_memory_bytes = max_memory_bytes;
  plan.engine.batch_axis = batch_axis_of(batch_axis);
  plan.engine.warmup = warmup;
  plan.engine.name = name;
  install(self, open_engine(plan), model, device, wait_when_full);
}

// Least and most of every numeric option, under the names that inferkit.Session has.
std::map<std::string, std::pair<std::int64_t, std::int64_t>> option_ranges() {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> ranges;
  const EngineOptions defaults;
  for_each_field(defaults, [&](const auto& row, const auto& value) {
    if constexpr (is_number<std::decay_t<decltype(value)>>) {
      ranges[std::string(row.name)] = {static_cast<std::int64_t>(row.range.min),
                                       static_cast<std::int64_t>(row.range.max)};
    }
  });
  return ranges;
}

}  // namespace

void add_open(py::module_& module) {
  using py::arg;
  module.def("option_ranges", &option_ranges,
             "Least and most of each numeric option of inferkit.Session; times in nanoseconds, "
             "sizes in bytes.");
  module.def("open_session", &open_session, arg("session"), py::kw_only(), arg("library"),
             arg("path"), arg("content"), arg("model"), arg("device"), arg("max_batch_size"),
             arg("max_delay"), arg("instances"), arg("threads"), arg("providers"),
             arg("provider_options"), arg("session_config"), arg("max_pending"),
             arg("max_pending_bytes"), arg("max_memory_bytes"), arg("wait_when_full"),
             arg("batch_axis"), arg("warmup"), arg("name"),
             "Load the model and start the engine of a new SessionCore; inferkit.Session has "
             "checked the options.");
}

}  // namespace inferkit
