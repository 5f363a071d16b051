// The one ONNX Runtime of the process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/ort_abi.h"
#include "backend/ort_memory.h"
#include "backend/ort_shared_object.h"

namespace inferkit {

// A mapped library with its env. ONNX Runtime keeps one env per library and process, and sessions
// may be released late, even by static destructors; so both live until the process ends.
// Threads: any. Blocks: open() maps the file the first time. Throws: Error(runtime_not_found).
class OrtLibrary {
 public:
  // The first call decides for the process; a later one with the same path returns the same
  // library, one with another path fails and names both.
  //
  // ONNX Runtime 1.29 and newer report home unless ORT_DISABLE_TELEMETRY is set while the env is
  // created, so it is set to 1 for that moment and then removed; a value that the user gave stays
  // as it is and is obeyed. Changing the environment races with getenv() in other threads of the
  // host: it happens once per process, at the first open, and never again.
  static OrtLibrary& open(const std::string& path);

  [[nodiscard]] const ort::Api& api() const noexcept { return object_.slots; }
  [[nodiscard]] const ort::Env* env() const noexcept { return env_; }
  [[nodiscard]] ort::Memory& memory() const noexcept { return *memory_; }
  [[nodiscard]] const std::string& path() const noexcept { return object_.path; }
  [[nodiscard]] const std::string& version() const noexcept { return object_.version; }
  // Execution providers that this build contains, in ONNX Runtime's order of preference.
  [[nodiscard]] const std::vector<std::string>& providers() const noexcept { return providers_; }

  OrtLibrary(const OrtLibrary&) = delete;
  OrtLibrary& operator=(const OrtLibrary&) = delete;

 private:
  explicit OrtLibrary(ort::SharedObject object);

  ort::SharedObject object_;
  ort::Env* env_ = nullptr;
  std::unique_ptr<ort::Memory> memory_;
  std::vector<std::string> providers_;
};

struct RuntimeInfo {
  std::string path;
  std::string version;
  std::uint32_t api = 0;  // highest interface version offered
  std::vector<std::string> providers;
  std::vector<std::string> slots;  // names of the slots we use, each found to be filled
};

// What a library offers, without creating an env: for `inferkit doctor` and the version tests.
// Throws: Error(runtime_not_found).
[[nodiscard]] RuntimeInfo probe_runtime(const std::string& path);

}  // namespace inferkit
