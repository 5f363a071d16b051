#include "backend/ort_shared_object.h"

#include <charconv>

#include "base/error.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace inferkit::ort {
namespace {

#if defined(_WIN32)

void* map_library(const std::string& path, std::string& reason) {
  const std::filesystem::path wide(reinterpret_cast<const char8_t*>(path.c_str()));
  // The flag makes the library's own folder the first place for what it needs in turn.
  HMODULE handle = LoadLibraryExW(wide.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
  if (handle == nullptr) reason = text("Windows error ", GetLastError());
  return reinterpret_cast<void*>(handle);
}

void* find_symbol(void* library, const char* name) noexcept {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

#else

void* map_library(const std::string& path, std::string& reason) {
  // LOCAL: a second copy in the process, such as the one in onnxruntime's Python module, keeps
  // its own symbols. NOW: a missing dependency shows here, not in the middle of a run.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* said = dlerror();
    reason = said != nullptr ? said : "the loader gave no reason";
  }
  return handle;
}

void* find_symbol(void* library, const char* name) noexcept { return dlsym(library, name); }

#endif

void require_every_slot(const SharedObject& object) {
#define INFERKIT_ORT_REQUIRE(index, name, type)                                             \
  if (object.slots.name == nullptr) {                                                       \
    fail(ErrorCode::runtime_not_found, "onnxruntime ", object.version, " at ", object.path, \
         " offers no " #name " (slot ", index, ")");                                        \
  }
  INFERKIT_ORT_SLOTS(INFERKIT_ORT_REQUIRE)
#undef INFERKIT_ORT_REQUIRE
}

}  // namespace

std::uint32_t api_of_version(const std::string& version) noexcept {
  if (!version.starts_with("1.")) return 0;
  std::uint32_t minor = 0;
  const char* const begin = version.data() + 2;
  const auto [end, error] = std::from_chars(begin, version.data() + version.size(), minor);
  return error == std::errc{} && end != begin ? minor : 0;
}

SharedObject open_shared_object(const std::string& path) {
  std::string reason;
  void* const library = map_library(path, reason);
  if (library == nullptr) {
    fail(ErrorCode::runtime_not_found, "cannot load ONNX Runtime from ", path, ": ", reason);
  }
  void* const symbol = find_symbol(library, "OrtGetApiBase");
  if (symbol == nullptr) {
    fail(ErrorCode::runtime_not_found, path, " is not ONNX Runtime: it has no OrtGetApiBase");
  }
  const auto get_base = reinterpret_cast<const ApiBase* (*)()>(symbol);
  SharedObject object;
  object.path = path;
  object.version = get_base()->GetVersionString();
  object.api = api_of_version(object.version);
  // The version string is parsed because asking for a table that is not there prints to stderr.
  if (object.api < kBaselineApi) {
    fail(ErrorCode::runtime_not_found, "onnxruntime ", object.version, " at ", path,
         " is too old: inferkit needs 1.", kBaselineApi, " or newer");
  }
  const void* const table = get_base()->GetApi(kBaselineApi);
  if (table == nullptr) {
    fail(ErrorCode::runtime_not_found, "onnxruntime ", object.version, " at ", path,
         " refuses interface version ", kBaselineApi);
  }
  object.slots = read_table(table);
  require_every_slot(object);
  return object;
}

}  // namespace inferkit::ort
