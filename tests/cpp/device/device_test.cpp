#include "device/device.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace inferkit;

namespace {

TEST_CASE("device: names are read, and written back the same") {
  CHECK(parse_device("auto") == std::nullopt);
  CHECK(parse_device("cpu") == Device{DeviceKind::cpu, 0});
  CHECK(parse_device("cuda") == Device{DeviceKind::cuda, 0});
  CHECK(parse_device("cuda:0") == Device{DeviceKind::cuda, 0});
  CHECK(parse_device("cuda:17") == Device{DeviceKind::cuda, 17});
  for (const char* name : {"cpu", "cuda:0", "cuda:17"}) {
    CHECK(to_string(parse_device(name).value()) == name);
  }
}

TEST_CASE("device: anything else is a typed error that quotes it") {
  for (const char* name : {"", "CPU", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:+1", "cuda: 1",
                           "cuda:1 ", "cuda:01", "cuda:x", "cuda:99999999999", "cuda0", " auto"}) {
    try {
      (void)parse_device(name);
      FAIL_CHECK("accepted '" << name << "'");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_input);
      CHECK(error.message().find("'" + std::string(name) + "'") != std::string::npos);
    }
  }
}

}  // namespace
