#include "backend/ort_providers.h"

#include <algorithm>
#include <string>
#include <vector>

#include "backend/ort_handle.h"
#include "backend/ort_status.h"
#include "base/error.h"

namespace inferkit::ort {
namespace {

constexpr const char* kCpu = "CPUExecutionProvider";
constexpr const char* kCuda = "CUDAExecutionProvider";

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A config as the two parallel arrays that the library takes.
struct KeysAndValues {
  explicit KeysAndValues(const OrtConfig& config) {
    for (const auto& [key, value] : config) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
};

Status* append_cuda(const Api& api, SessionOptions* session, const KeysAndValues& config) {
  Handle<CudaOptions> cuda(api);
  if (Status* failure = api.CreateCUDAProviderOptions(cuda.out())) return failure;
  if (Status* failure = api.UpdateCUDAProviderOptions(cuda.get(), config.keys.data(),
                                                      config.values.data(), config.keys.size())) {
    return failure;
  }
  return api.SessionOptionsAppendExecutionProvider_CUDA_V2(session, cuda.get());
}

}  // namespace

void require_providers(const OrtLibrary& library, const OrtOptions& options) {
  for (const std::string& name : options.providers) {
    if (!contains(library.providers(), name)) {
      fail(ErrorCode::model_load, "execution provider '", name, "' is not in onnxruntime ",
           library.version(), " at ", library.path(), "; it has ", joined(library.providers()));
    }
  }
  for (const auto& [name, config] : options.provider_options) {
    if (!contains(options.providers, name)) {
      fail(ErrorCode::model_load, "provider_options has '", name, "', which is not in providers (",
           joined(options.providers), ")");
    }
    if (name == kCpu && !config.empty()) {
      fail(ErrorCode::model_load, "provider_options: ", kCpu, " takes no options, got '",
           config.begin()->first, "'");
    }
  }
}

void append_providers(const OrtLibrary& library, const OrtOptions& options,
                      SessionOptions* session) {
  const Api& api = library.api();
  for (const std::string& name : options.providers) {
    if (name == kCpu) continue;
    const OrtConfig none;
    const auto found = options.provider_options.find(name);
    const KeysAndValues config(found == options.provider_options.end() ? none : found->second);
    Status* const failure = name == kCuda ? append_cuda(api, session, config)
                                          : api.SessionOptionsAppendExecutionProvider(
                                                session, name.c_str(), config.keys.data(),
                                                config.values.data(), config.keys.size());
    check(api, failure, ErrorCode::model_load, text("add execution provider ", name));
  }
}

}  // namespace inferkit::ort
