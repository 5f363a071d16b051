#include "bindings/runtime.h"

#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <string>

#include "backend/ort_library.h"
#include "bindings/gil.h"

namespace inferkit {
namespace {

namespace py = pybind11;

py::typing::Dict<py::str, py::object> runtime_info(const std::string& path) {
  const RuntimeInfo info = [&path] {
    const ReleaseGil released;
    return probe_runtime(path);
  }();
  py::typing::Dict<py::str, py::object> facts;
  facts["path"] = info.path;
  facts["version"] = info.version;
  facts["api"] = info.api;
  facts["providers"] = info.providers;
  facts["slots"] = info.slots;
  return facts;
}

}  // namespace

void add_runtime(py::module_& module) {
  module.def("runtime_info", &runtime_info, py::arg("path"),
             "Map the library at `path` and tell its path, version, api (the highest interface "
             "version), providers and slots (the functions of it that inferkit uses). Raises "
             "RuntimeNotFoundError.");
}

}  // namespace inferkit
