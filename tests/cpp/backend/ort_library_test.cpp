#include "backend/ort_library.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "backend/ort_shared_object.h"
#include "base/error.h"
#include "support/ort_for_tests.h"

namespace inferkit {
namespace {

// Taken before main, and so before any test can have opened the library.
const bool kTelemetryWasSet = std::getenv("ORT_DISABLE_TELEMETRY") != nullptr;

std::string refusal(const std::string& path) {
  try {
    (void)probe_runtime(path);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::runtime_not_found);
    return error.message();
  }
  FAIL("the library was accepted");
  return {};
}

TEST_CASE("versions of the library") {
  CHECK(ort::api_of_version("1.31.1") == 31);
  CHECK(ort::api_of_version("1.22") == 22);
  CHECK(ort::api_of_version("1.9.0-dev") == 9);
  CHECK(ort::api_of_version("2.0.0") == 0);
  CHECK(ort::api_of_version("1.x") == 0);
  CHECK(ort::api_of_version("") == 0);
}

TEST_CASE("a file that is not there is told with the loader's reason") {
  const std::string message = refusal("/nowhere/libonnxruntime.so.1.31.1");
  CHECK(message.find("/nowhere/libonnxruntime.so.1.31.1: ") != std::string::npos);
}

#if defined(__linux__) && defined(__GLIBC__)
TEST_CASE("a library that is something else is told apart") {
  CHECK(refusal("libm.so.6") == "libm.so.6 is not ONNX Runtime: it has no OrtGetApiBase");
}
#endif

TEST_CASE("one library per process, and the environment as it was") {
  OrtLibrary* const library = library_for_tests();
  if (library == nullptr) return;
  CHECK(&OrtLibrary::open(library->path()) == library);
  CHECK_THROWS_AS(OrtLibrary::open("/nowhere/other.so"), Error);
  CHECK((std::getenv("ORT_DISABLE_TELEMETRY") != nullptr) == kTelemetryWasSet);
  CHECK(library->env() != nullptr);
}

TEST_CASE("a probe tells what the library offers") {
  OrtLibrary* const library = library_for_tests();
  if (library == nullptr) return;
  const RuntimeInfo info = probe_runtime(library->path());
  CHECK(info.version == library->version());
  CHECK(info.api >= ort::kBaselineApi);
  CHECK(info.providers == library->providers());
  CHECK(std::count(info.providers.begin(), info.providers.end(), "CPUExecutionProvider") == 1);
  CHECK(std::count(info.slots.begin(), info.slots.end(), "Run") == 1);
}

}  // namespace
}  // namespace inferkit
