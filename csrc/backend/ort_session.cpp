#include "backend/ort_session.h"

#include <filesystem>
#include <string>

#include "backend/ort_providers.h"
#include "backend/ort_status.h"
#include "backend/ort_threads.h"
#include "base/error.h"

namespace inferkit::ort {
namespace {

// Entries that would let a session point into bytes that we free after loading.
constexpr const char* kForbidden[] = {"session.use_ort_model_bytes_directly",
                                      "session.use_ort_model_bytes_for_initializers"};

constexpr const char* kEnvAllocators = "session.use_env_allocators";

std::filesystem::path native_path(const std::string& path) {
#if defined(_WIN32)
  return std::filesystem::path(reinterpret_cast<const char8_t*>(path.c_str()));
#else
  return std::filesystem::path(path);
#endif
}

Handle<SessionOptions> session_options(const OrtLibrary& library, const OrtOptions& options,
                                       std::uint32_t threads, PoolThreads& pool) {
  const Api& api = library.api();
  Handle<SessionOptions> made(api);
  const auto must = [&api](Status* status, const std::string& doing) {
    check(api, status, ErrorCode::model_load, doing);
  };
  must(api.CreateSessionOptions(made.out()), "create session options");
  must(api.SetSessionGraphOptimizationLevel(made.get(), kOptimizeAll), "set optimisation");
  // Always explicit: with 0, ONNX Runtime counts the machine's cores, not ours, and pins threads.
  must(api.SetIntraOpNumThreads(made.get(), static_cast<int>(threads)), "set threads");
  must(api.SetInterOpNumThreads(made.get(), 1), "set threads");
  // The pool's threads inherit our signal mask, but set their floating-point mode themselves.
  must(api.AddSessionConfigEntry(made.get(), "session.set_denormal_as_zero", "1"),
       "flush denormals");
  pool.serve(api, made.get());
  if (computes_in_pool(library, options)) {
    must(api.AddSessionConfigEntry(made.get(), kEnvAllocators, "1"), "choose the memory");
  }
  for (const auto& [key, value] : options.session_config) {
    must(api.AddSessionConfigEntry(made.get(), key.c_str(), value.c_str()),
         text("set session_config '", key, "'"));
  }
  append_providers(library, options, made.get());
  return made;
}

}  // namespace

void require_usable(const OrtLibrary& library, const OrtOptions& options) {
  require_providers(library, options);
  for (const char* key : kForbidden) {
    if (options.session_config.contains(key)) {
      fail(ErrorCode::model_load, "session_config '", key,
           "' is not allowed: the model's bytes do not outlive loading");
    }
  }
}

bool computes_in_pool(const OrtLibrary& library, const OrtOptions& options) {
  const auto said = options.session_config.find(kEnvAllocators);
  return library.memory().serves() && (said == options.session_config.end() || said->second == "1");
}

Handle<Session> build_session(const OrtLibrary& library, const OrtModel& model,
                              const OrtOptions& options, std::uint32_t threads) {
  const Api& api = library.api();
  PoolThreads pool(threads - 1);  // whoever runs the model is one more
  const Handle<SessionOptions> made = session_options(library, options, threads, pool);
  Handle<Session> session(api);
  if (!model.path.empty()) {
    check(api,
          api.CreateSession(library.env(), native_path(model.path).c_str(), made.get(),
                            session.out()),
          ErrorCode::model_load, text("load ", model.path));
  } else {
    check(api,
          api.CreateSessionFromArray(library.env(), model.bytes.data(), model.bytes.size(),
                                     made.get(), session.out()),
          ErrorCode::model_load, text("load a model of ", model.bytes.size(), " bytes"));
  }
  return session;
}

}  // namespace inferkit::ort
