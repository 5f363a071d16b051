// The one door to GPUs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "device/cuda_driver.h"

namespace inferkit {

struct Gpu {
  std::string name;
  std::uint64_t memory_bytes = 0;
  int compute_major = 0;  // compute capability
  int compute_minor = 0;
};

// Why there is no GPU to use.
enum class GpuAbsence : std::uint8_t {
  none,       // there is one
  no_driver,  // the driver library is not installed, or is not one
  broken,     // the driver is there and refuses to start
  no_device   // the driver works and sees no GPU
};

struct GpuReport {
  GpuAbsence absence = GpuAbsence::no_driver;
  std::string reason;      // one line for people; empty if available()
  int driver_version = 0;  // the CUDA version the driver supports: 1000 x major + 10 x minor
  std::vector<Gpu> gpus;   // in the order of Device::index

  [[nodiscard]] bool available() const noexcept { return absence == GpuAbsence::none; }
};

// Loads NVIDIA's driver and initialises it in this process, so only for who wants to know or to
// use a GPU. Takes up to a second where there is one.
// Threads: any. Blocks: yes. Throws: std::bad_alloc only; no GPU is an answer, not an error.
[[nodiscard]] GpuReport find_gpus(const char* library = "libcuda.so.1");

// What find_gpus() reports once the library is loaded.
[[nodiscard]] GpuReport ask_driver(const CudaDriver& driver);

}  // namespace inferkit
