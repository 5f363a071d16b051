// Owning pointers to ONNX Runtime's objects.
#pragma once

#include <utility>

#include "backend/ort_abi.h"

namespace inferkit::ort {

inline void release(const Api& api, Session* object) { api.ReleaseSession(object); }
inline void release(const Api& api, SessionOptions* object) { api.ReleaseSessionOptions(object); }
inline void release(const Api& api, RunOptions* object) { api.ReleaseRunOptions(object); }
inline void release(const Api& api, MemoryInfo* object) { api.ReleaseMemoryInfo(object); }
inline void release(const Api& api, Value* object) { api.ReleaseValue(object); }
inline void release(const Api& api, TypeInfo* object) { api.ReleaseTypeInfo(object); }
inline void release(const Api& api, TensorInfo* object) {
  api.ReleaseTensorTypeAndShapeInfo(object);
}
inline void release(const Api& api, CudaOptions* object) { api.ReleaseCUDAProviderOptions(object); }

// Like unique_ptr, for one object of the library. The table outlives every handle: it is never
// unloaded. Threads: a value.
template <class T>
class Handle {
 public:
  explicit Handle(const Api& api, T* object = nullptr) noexcept : api_(&api), object_(object) {}
  Handle(Handle&& other) noexcept
      : api_(other.api_), object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~Handle() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] T* get() const noexcept { return object_; }
  // Where a creating function may write; whatever was held is released first.
  [[nodiscard]] T** out() noexcept {
    reset();
    return &object_;
  }
  void reset() noexcept {
    if (object_ != nullptr) release(*api_, std::exchange(object_, nullptr));
  }

 private:
  const Api* api_;
  T* object_;
};

}  // namespace inferkit::ort
