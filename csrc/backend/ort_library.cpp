#include "backend/ort_library.h"

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

#include "backend/ort_status.h"
#include "backend/ort_tables.h"
#include "base/error.h"
#include "base/fork_gate.h"

namespace inferkit {
namespace {

// Sets ORT_DISABLE_TELEMETRY while it lives, unless the user has set it to anything.
class TelemetryOff {
 public:
  TelemetryOff() : ours_(std::getenv(kName) == nullptr) {
    if (ours_) set("1");
  }
  ~TelemetryOff() {
    if (ours_) set(nullptr);
  }
  TelemetryOff(const TelemetryOff&) = delete;
  TelemetryOff& operator=(const TelemetryOff&) = delete;

 private:
  static constexpr const char* kName = "ORT_DISABLE_TELEMETRY";

  static void set(const char* value) noexcept {
#if defined(_WIN32)
    _putenv_s(kName, value == nullptr ? "" : value);
#else
    if (value == nullptr) {
      unsetenv(kName);
    } else {
      setenv(kName, value, 1);
    }
#endif
  }

  bool ours_;
};

std::vector<std::string> list_providers(const ort::Api& api) {
  char** names = nullptr;
  int count = 0;
  ort::check(api, api.GetAvailableProviders(&names, &count), ErrorCode::runtime_not_found,
             "list its execution providers");
  std::vector<std::string> providers(names, names + count);
  if (ort::Status* status = api.ReleaseAvailableProviders(names, count)) {
    api.ReleaseStatus(status);
  }
  return providers;
}

constinit std::mutex opening;

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || std::filesystem::equivalent(a, b, error);
}

}  // namespace

OrtLibrary::OrtLibrary(ort::SharedObject object) : object_(std::move(object)) {
  // No global thread pools, so the env starts no thread. Only FATAL is logged: every lesser
  // failure comes back as a status, and is told to the caller instead of to stderr.
  ort::check(api(), api().CreateEnv(ort::kSeverityFatal, "inferkit", &env_),
             ErrorCode::runtime_not_found, "create its environment");
  providers_ = list_providers(api());
  memory_ = std::make_unique<ort::Memory>(api(), env_);  // last: the env keeps a pointer to it
}

OrtLibrary& OrtLibrary::open(const std::string& path) {
  constinit static OrtLibrary* opened = nullptr;  // never deleted, see the class comment
  // A child could neither finish nor repeat what a thread had begun here that it does not have.
  const Unforked whole;
  const std::lock_guard lock(opening);
  if (opened == nullptr) {
    const TelemetryOff telemetry_off;  // around the mapping too: initialisers of it may look
    opened = new OrtLibrary(ort::open_shared_object(path));
  } else if (!same_file(opened->path(), path)) {
    fail(ErrorCode::runtime_not_found, "this process already runs ONNX Runtime from ",
         opened->path(), "; a second one, from ", path, ", would not share its environment");
  }
  constinit static bool tables_filled = false;
  if (!tables_filled) ort::fill_tables(*opened);  // again, where there was no thread for it
  tables_filled = true;
  return *opened;
}

RuntimeInfo probe_runtime(const std::string& path) {
  const ort::SharedObject object = ort::open_shared_object(path);
  RuntimeInfo info;
  info.path = object.path;
  info.version = object.version;
  info.api = object.api;
  info.providers = list_providers(object.slots);
#define INFERKIT_ORT_NAME(index, name, type) info.slots.emplace_back(#name);
  INFERKIT_ORT_SLOTS(INFERKIT_ORT_NAME)
#undef INFERKIT_ORT_NAME
  return info;
}

}  // namespace inferkit
