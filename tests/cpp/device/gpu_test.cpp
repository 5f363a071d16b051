#include "device/gpu.h"

#include <doctest/doctest.h>

#include <cstdio>

using namespace inferkit;

namespace {

// A driver with two GPUs; each test bends it.
CudaDriver two_gpus() {
  CudaDriver driver;
  driver.init = [](unsigned) { return kCudaSuccess; };
  driver.driver_get_version = [](int* version) {
    *version = 13000;
    return kCudaSuccess;
  };
  driver.device_get_count = [](int* count) {
    *count = 2;
    return kCudaSuccess;
  };
  driver.device_get = [](int* device, int ordinal) {
    *device = 10 + ordinal;  // a handle is not an ordinal
    return kCudaSuccess;
  };
  driver.device_get_name = [](char* name, int bytes, int device) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "Chip %d", device);
    return kCudaSuccess;
  };
  driver.device_total_mem = [](std::size_t* bytes, int device) {
    *bytes = static_cast<std::size_t>(device) << 30;
    return kCudaSuccess;
  };
  driver.device_get_attribute = [](int* value, int attribute, int) {
    *value = attribute == kCudaComputeCapabilityMajor ? 9 : 1;
    return kCudaSuccess;
  };
  driver.get_error_name = [](int error, const char** name) {
    *name = error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : nullptr;
    return error == 803 ? kCudaSuccess : 1;
  };
  return driver;
}

TEST_CASE("gpu: a working driver's devices are named in order") {
  const GpuReport report = ask_driver(two_gpus());
  CHECK(report.available());
  CHECK(report.reason == "");
  CHECK(report.driver_version == 13000);
  REQUIRE(report.gpus.size() == 2);
  CHECK(report.gpus[0].name == "Chip 10");
  CHECK(report.gpus[1].name == "Chip 11");
  CHECK(report.gpus[1].memory_bytes == std::uint64_t{11} << 30);
  CHECK(report.gpus[0].compute_major == 9);
  CHECK(report.gpus[0].compute_minor == 1);
}

TEST_CASE("gpu: no library, no driver in it, a broken driver and no device are told apart") {
  const GpuReport nothing = find_gpus("libcuda-that-nobody-has.so.1");
  CHECK(nothing.absence == GpuAbsence::no_driver);
  CHECK(nothing.reason.find("libcuda-that-nobody-has.so.1") != std::string::npos);

  const GpuReport other = find_gpus("libm.so.6");
  CHECK(other.absence == GpuAbsence::no_driver);
  CHECK(other.reason.find("libm.so.6 is no usable CUDA driver: it has no cuInit") == 0);

  CudaDriver broken = two_gpus();
  broken.init = [](unsigned) { return 803; };
  CHECK(ask_driver(broken).absence == GpuAbsence::broken);
  CHECK(ask_driver(broken).reason == "cuInit failed with CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)");
  broken.init = [](unsigned) { return 999; };
  CHECK(ask_driver(broken).reason == "cuInit failed with unknown (999)");

  CudaDriver hidden = two_gpus();
  hidden.init = [](unsigned) { return kCudaErrorNoDevice; };
  CHECK(ask_driver(hidden).absence == GpuAbsence::no_device);
  hidden = two_gpus();
  hidden.device_get_count = [](int* count) {
    *count = 0;
    return kCudaSuccess;
  };
  CHECK(ask_driver(hidden).absence == GpuAbsence::no_device);
  CHECK(ask_driver(hidden).reason.find("CUDA_VISIBLE_DEVICES") != std::string::npos);
  CHECK(ask_driver(hidden).gpus.empty());
}

TEST_CASE("gpu: failures after a good start are reported too, unreadable facts are left out") {
  CudaDriver driver = two_gpus();
  driver.device_get_count = [](int*) { return 803; };
  CHECK(ask_driver(driver).absence == GpuAbsence::broken);
  driver = two_gpus();
  driver.device_get = [](int*, int) { return 803; };
  CHECK(ask_driver(driver).reason.find("cuDeviceGet failed") == 0);
  driver = two_gpus();
  driver.device_get_name = [](char*, int, int) { return 803; };
  const GpuReport report = ask_driver(driver);
  CHECK(report.available());
  CHECK(report.gpus[0].name == "");
}

TEST_CASE("gpu: on this machine, the answer is a device or a reason") {
  const GpuReport report = find_gpus();
  CAPTURE(report.reason);
  CHECK(report.available() == report.reason.empty());
  CHECK(report.available() == !report.gpus.empty());
}

}  // namespace
