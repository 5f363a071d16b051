#include "device/gpu.h"

#include <array>

#include "base/error.h"

namespace inferkit {
namespace {

std::string describe(const CudaDriver& driver, std::string_view call, int code) {
  const char* name = nullptr;
  if (driver.get_error_name(code, &name) != kCudaSuccess || name == nullptr) name = "unknown";
  return text(call, " failed with ", name, " (", code, ")");
}

GpuReport absent(GpuAbsence absence, std::string reason) {
  GpuReport report;
  report.absence = absence;
  report.reason = std::move(reason);
  return report;
}

GpuReport no_device() {
  return absent(GpuAbsence::no_device,
                "NVIDIA's driver works but sees no GPU: check CUDA_VISIBLE_DEVICES and, in a "
                "container, that it was given one");
}

// An unreadable fact stays empty: the GPU is still there.
Gpu describe_gpu(const CudaDriver& driver, int device) {
  Gpu gpu;
  std::array<char, 256> name{};
  if (driver.device_get_name(name.data(), static_cast<int>(name.size()) - 1, device) ==
      kCudaSuccess) {
    gpu.name = name.data();
  }
  std::size_t bytes = 0;
  if (driver.device_total_mem(&bytes, device) == kCudaSuccess) gpu.memory_bytes = bytes;
  const auto attribute = [&](int which) {
    int value = 0;
    return driver.device_get_attribute(&value, which, device) == kCudaSuccess ? value : 0;
  };
  gpu.compute_major = attribute(kCudaComputeCapabilityMajor);
  gpu.compute_minor = attribute(kCudaComputeCapabilityMinor);
  return gpu;
}

}  // namespace

GpuReport ask_driver(const CudaDriver& driver) {
  int code = driver.init(0);
  if (code == kCudaErrorNoDevice) return no_device();
  if (code != kCudaSuccess) return absent(GpuAbsence::broken, describe(driver, "cuInit", code));
  int count = 0;
  code = driver.device_get_count(&count);
  if (code != kCudaSuccess) {
    return absent(GpuAbsence::broken, describe(driver, "cuDeviceGetCount", code));
  }
  GpuReport report = count > 0 ? absent(GpuAbsence::none, "") : no_device();
  if (driver.driver_get_version(&report.driver_version) != kCudaSuccess) report.driver_version = 0;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    int device = 0;
    code = driver.device_get(&device, ordinal);
    if (code != kCudaSuccess) {
      return absent(GpuAbsence::broken, describe(driver, "cuDeviceGet", code));
    }
    report.gpus.push_back(describe_gpu(driver, device));
  }
  return report;
}

GpuReport find_gpus(const char* library) {
  CudaDriver driver;
  std::string problem = load_cuda_driver(library, driver);
  if (!problem.empty()) return absent(GpuAbsence::no_driver, std::move(problem));
  return ask_driver(driver);
}

}  // namespace inferkit
