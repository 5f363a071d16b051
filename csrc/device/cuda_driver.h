// The functions of NVIDIA's driver library that we call, declared by us.
#pragma once

#include <cstddef>
#include <string>

namespace inferkit {

// CUresult and CUdevice are ints in the driver's ABI. A table, so that tests can stand in for it.
struct CudaDriver {
  int (*init)(unsigned flags) = nullptr;
  int (*driver_get_version)(int* version) = nullptr;
  int (*device_get_count)(int* count) = nullptr;
  int (*device_get)(int* device, int ordinal) = nullptr;
  int (*device_get_name)(char* name, int bytes, int device) = nullptr;
  int (*device_total_mem)(std::size_t* bytes, int device) = nullptr;
  int (*device_get_attribute)(int* value, int attribute, int device) = nullptr;
  int (*get_error_name)(int error, const char** name) = nullptr;
};

inline constexpr int kCudaSuccess = 0;
inline constexpr int kCudaErrorNoDevice = 100;
inline constexpr int kCudaComputeCapabilityMajor = 75;
inline constexpr int kCudaComputeCapabilityMinor = 76;

// Fills the table from the library, which then stays loaded for the life of the process: a driver
// cannot be unloaded safely. Empty on success, else why not. Calls nothing in the library.
[[nodiscard]] std::string load_cuda_driver(const char* library, CudaDriver& driver);

}  // namespace inferkit
