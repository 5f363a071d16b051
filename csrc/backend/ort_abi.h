// The part of ONNX Runtime's C interface that inferkit uses, in our own declarations.
//
// OrtGetApiBase() is the library's only symbol we need. It leads to a table of function pointers
// to which versions only ever append, so a slot's number never changes once released. Every slot
// we use is a row of INFERKIT_ORT_SLOTS: number, name, type; all are present since API 22.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <type_traits>

namespace inferkit::ort {

// The oldest ONNX Runtime that has every slot below is 1.<this>.
inline constexpr std::uint32_t kBaselineApi = 22;

// Opaque objects of the library. Only pointers to them exist on our side.
struct Status;
struct Env;
struct Session;
struct SessionOptions;
struct RunOptions;
struct MemoryInfo;
struct Value;
struct TypeInfo;
struct TensorInfo;
struct CudaOptions;

// The one object that also we may make. ONNX Runtime reads no more members than `version` had.
struct Allocator {
  std::uint32_t version = 0;
  void* (*Alloc)(Allocator*, std::size_t bytes) = nullptr;
  void (*Free)(Allocator*, void*) = nullptr;
  const MemoryInfo* (*Info)(const Allocator*) = nullptr;
  void* (*Reserve)(Allocator*, std::size_t bytes) = nullptr;  // for what stays: weights
};

// Ours, given to the library: it starts each thread of its pools with the one, which runs
// `work(of_work)` there, and ends it with the other. Null: there is no thread.
struct OwnThread;
using StartThread = OwnThread*(void* ours, void (*work)(void*), void* of_work);
using JoinThread = void(OwnThread*);

using PathChar = std::filesystem::path::value_type;

// Values of the library's enums that we pass or compare; they travel as int.
inline constexpr int kInvalidArgument = 2;  // OrtErrorCode
inline constexpr int kSeverityFatal = 4;    // OrtLoggingLevel
inline constexpr int kOptimizeAll = 99;     // GraphOptimizationLevel
inline constexpr int kDeviceAllocator = 0;  // OrtAllocatorType
inline constexpr int kArenaAllocator = 1;
inline constexpr int kMemoryDefault = 0;  // OrtMemType
inline constexpr int kOnnxTensor = 1;     // ONNXType

// Functions that can fail return a Status to be released; null means success. Releasing takes
// null. Strings and dimensions are written to memory that the caller provides.
#define INFERKIT_ORT_SLOTS(X)                                                                      \
  X(1, GetErrorCode, int(const Status*))                                                           \
  X(2, GetErrorMessage, const char*(const Status*))                                                \
  X(3, CreateEnv, Status*(int severity, const char* id, Env**))                                    \
  X(7, CreateSession, Status*(const Env*, const PathChar*, const SessionOptions*, Session**))      \
  X(8, CreateSessionFromArray,                                                                     \
    Status*(const Env*, const void*, std::size_t bytes, const SessionOptions*, Session**))         \
  X(9, Run,                                                                                        \
    Status*(Session*, const RunOptions*, const char* const* input_names,                           \
            const Value* const* inputs, std::size_t, const char* const* output_names, std::size_t, \
            Value** outputs))                                                                      \
  X(10, CreateSessionOptions, Status*(SessionOptions**))                                           \
  X(23, SetSessionGraphOptimizationLevel, Status*(SessionOptions*, int))                           \
  X(24, SetIntraOpNumThreads, Status*(SessionOptions*, int))                                       \
  X(25, SetInterOpNumThreads, Status*(SessionOptions*, int))                                       \
  X(30, SessionGetInputCount, Status*(const Session*, std::size_t*))                               \
  X(31, SessionGetOutputCount, Status*(const Session*, std::size_t*))                              \
  X(33, SessionGetInputTypeInfo, Status*(const Session*, std::size_t, TypeInfo**))                 \
  X(34, SessionGetOutputTypeInfo, Status*(const Session*, std::size_t, TypeInfo**))                \
  X(36, SessionGetInputName, Status*(const Session*, std::size_t, Allocator*, char**))             \
  X(37, SessionGetOutputName, Status*(const Session*, std::size_t, Allocator*, char**))            \
  X(39, CreateRunOptions, Status*(RunOptions**))                                                   \
  X(46, RunOptionsSetTerminate, Status*(RunOptions*))                                              \
  X(47, RunOptionsUnsetTerminate, Status*(RunOptions*))                                            \
  X(49, CreateTensorWithDataAsOrtValue,                                                            \
    Status*(const MemoryInfo*, void* data, std::size_t bytes, const std::int64_t* dims,            \
            std::size_t rank, int element_type, Value**))                                          \
  X(51, GetTensorMutableData, Status*(Value*, void**))                                             \
  X(55, CastTypeInfoToTensorInfo, Status*(const TypeInfo*, const TensorInfo**))                    \
  X(56, GetOnnxTypeFromTypeInfo, Status*(const TypeInfo*, int*))                                   \
  X(60, GetTensorElementType, Status*(const TensorInfo*, int*))                                    \
  X(61, GetDimensionsCount, Status*(const TensorInfo*, std::size_t*))                              \
  X(62, GetDimensions, Status*(const TensorInfo*, std::int64_t*, std::size_t))                     \
  X(63, GetSymbolicDimensions, Status*(const TensorInfo*, const char**, std::size_t))              \
  X(65, GetTensorTypeAndShape, Status*(const Value*, TensorInfo**))                                \
  X(69, CreateCpuMemoryInfo, Status*(int allocator_type, int memory_type, MemoryInfo**))           \
  X(76, AllocatorFree, Status*(Allocator*, void*))                                                 \
  X(78, GetAllocatorWithDefaultOptions, Status*(Allocator**))                                      \
  X(93, ReleaseStatus, void(Status*))                                                              \
  X(94, ReleaseMemoryInfo, void(MemoryInfo*))                                                      \
  X(95, ReleaseSession, void(Session*))                                                            \
  X(96, ReleaseValue, void(Value*))                                                                \
  X(97, ReleaseRunOptions, void(RunOptions*))                                                      \
  X(98, ReleaseTypeInfo, void(TypeInfo*))                                                          \
  X(99, ReleaseTensorTypeAndShapeInfo, void(TensorInfo*))                                          \
  X(100, ReleaseSessionOptions, void(SessionOptions*))                                             \
  X(125, GetAvailableProviders, Status*(char***, int*))                                            \
  X(126, ReleaseAvailableProviders, Status*(char**, int))                                          \
  X(130, AddSessionConfigEntry, Status*(SessionOptions*, const char* key, const char* value))      \
  X(176, RegisterAllocator, Status*(Env*, Allocator*))                                             \
  X(196, SessionOptionsSetCustomCreateThreadFn, Status*(SessionOptions*, StartThread*))            \
  X(197, SessionOptionsSetCustomThreadCreationOptions, Status*(SessionOptions*, void*))            \
  X(198, SessionOptionsSetCustomJoinThreadFn, Status*(SessionOptions*, JoinThread*))               \
  X(204, SessionOptionsAppendExecutionProvider_CUDA_V2,                                            \
    Status*(SessionOptions*, const CudaOptions*))                                                  \
  X(205, CreateCUDAProviderOptions, Status*(CudaOptions**))                                        \
  X(206, UpdateCUDAProviderOptions,                                                                \
    Status*(CudaOptions*, const char* const* keys, const char* const* values, std::size_t))        \
  X(208, ReleaseCUDAProviderOptions, void(CudaOptions*))                                           \
  X(216, SessionOptionsAppendExecutionProvider,                                                    \
    Status*(SessionOptions*, const char* provider, const char* const* keys,                        \
            const char* const* values, std::size_t))

// The slots by name, filled from the library's table. Null until then.
struct Api {
#define INFERKIT_ORT_MEMBER(index, name, type) std::add_pointer_t<type> name = nullptr;
  INFERKIT_ORT_SLOTS(INFERKIT_ORT_MEMBER)
#undef INFERKIT_ORT_MEMBER
};

// The library's table: an array of function pointers, all of one size.
using Table = void (*const*)();

// What OrtGetApiBase() returns; frozen for ever.
struct ApiBase {
  const void* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

[[nodiscard]] inline Api read_table(const void* table) noexcept {
  const auto slots = static_cast<Table>(table);
  Api api;
#define INFERKIT_ORT_READ(index, name, type) \
  api.name = reinterpret_cast<std::add_pointer_t<type>>(slots[index]);
  INFERKIT_ORT_SLOTS(INFERKIT_ORT_READ)
#undef INFERKIT_ORT_READ
  return api;
}

}  // namespace inferkit::ort
