#include "device/cuda_driver.h"

#include <dlfcn.h>

#include "base/error.h"

namespace inferkit {
namespace {

template <class Function>
bool find(void* library, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, symbol));
  return function != nullptr;
}

// The symbol that is missing, or nullptr.
const char* fill(void* library, CudaDriver& driver) {
  if (!find(library, "cuInit", driver.init)) return "cuInit";
  if (!find(library, "cuDriverGetVersion", driver.driver_get_version)) return "cuDriverGetVersion";
  if (!find(library, "cuDeviceGetCount", driver.device_get_count)) return "cuDeviceGetCount";
  if (!find(library, "cuDeviceGet", driver.device_get)) return "cuDeviceGet";
  if (!find(library, "cuDeviceGetName", driver.device_get_name)) return "cuDeviceGetName";
  if (!find(library, "cuDeviceTotalMem_v2", driver.device_total_mem)) return "cuDeviceTotalMem_v2";
  if (!find(library, "cuDeviceGetAttribute", driver.device_get_attribute)) {
    return "cuDeviceGetAttribute";
  }
  if (!find(library, "cuGetErrorName", driver.get_error_name)) return "cuGetErrorName";
  return nullptr;
}

}  // namespace

std::string load_cuda_driver(const char* library, CudaDriver& driver) {
  void* const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    return text("NVIDIA's driver library could not be loaded: ",
                reason != nullptr ? reason : library);
  }
  const char* const missing = fill(handle, driver);
  return missing == nullptr ? "" : text(library, " is no usable CUDA driver: it has no ", missing);
}

}  // namespace inferkit
