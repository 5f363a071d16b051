#include "backend/ort_signature.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/ort_handle.h"
#include "backend/ort_status.h"
#include "base/error.h"

namespace inferkit::ort {
namespace {

void must(const Api& api, Status* status) {
  check(api, status, ErrorCode::model_load, "describe the model");
}

std::optional<DType> dtype_of(int element_type) noexcept {
  switch (element_type) {
#define INFERKIT_CASE(name, numpy, bytes, onnx) \
  case onnx:                                    \
    return DType::name;
    INFERKIT_DTYPES(INFERKIT_CASE)
#undef INFERKIT_CASE
    default:
      return std::nullopt;
  }
}

// ONNX's names of the element types that we do not serve.
std::string element_name(int element_type) {
  switch (element_type) {
    case 8:
      return "string";
    case 14:
      return "complex64";
    case 15:
      return "complex128";
    case 16:
      return "bfloat16";
    case 17:
      return "float8e4m3fn";
    case 18:
      return "float8e4m3fnuz";
    case 19:
      return "float8e5m2";
    case 20:
      return "float8e5m2fnuz";
    case 21:
      return "uint4";
    case 22:
      return "int4";
    case 23:
      return "float4e2m1";
    default:
      return text("number ", element_type);
  }
}

std::string_view kind_name(int kind) noexcept {
  constexpr std::string_view kNames[] = {"unknown", "tensor",        "sequence", "map",
                                         "opaque",  "sparse tensor", "optional"};
  const auto index = static_cast<std::size_t>(kind);
  return kind >= 0 && index < std::size(kNames) ? kNames[index] : "unknown";
}

void read_dimensions(const Api& api, const TensorInfo* info, const std::string& what,
                     TensorSpec& spec) {
  std::size_t rank = 0;
  must(api, api.GetDimensionsCount(info, &rank));
  if (rank > kMaxRank) {
    fail(ErrorCode::model_load, what, " has ", rank, " dimensions; inferkit serves up to ",
         kMaxRank);
  }
  std::int64_t dims[kMaxRank] = {};
  const char* symbols[kMaxRank] = {};
  must(api, api.GetDimensions(info, dims, rank));
  must(api, api.GetSymbolicDimensions(info, symbols, rank));
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (dims[axis] < 0) dims[axis] = -1;
    spec.symbols.emplace_back(symbols[axis] != nullptr ? symbols[axis] : "");
  }
  spec.shape = Shape(std::span<const std::int64_t>(dims, rank));
}

TensorSpec read_spec(const Api& api, const char* side, std::string name, const TypeInfo* type) {
  const std::string what = text(side, " '", name, "'");
  int kind = 0;
  must(api, api.GetOnnxTypeFromTypeInfo(type, &kind));
  if (kind != kOnnxTensor) {
    fail(ErrorCode::model_load, what, " is of type ", kind_name(kind),
         "; inferkit serves tensors only");
  }
  const TensorInfo* info = nullptr;
  must(api, api.CastTypeInfoToTensorInfo(type, &info));
  int element_type = 0;
  must(api, api.GetTensorElementType(info, &element_type));
  const std::optional<DType> dtype = dtype_of(element_type);
  if (!dtype) {
    fail(ErrorCode::model_load, what, " has element type ", element_name(element_type),
         "; inferkit serves bool, int8-64, uint8-64 and float16-64");
  }
  TensorSpec spec;
  spec.name = std::move(name);
  spec.dtype = *dtype;
  read_dimensions(api, info, what, spec);
  return spec;
}

using CountFn = decltype(Api::SessionGetInputCount);
using NameFn = decltype(Api::SessionGetInputName);
using TypeFn = decltype(Api::SessionGetInputTypeInfo);

std::vector<TensorSpec> read_side(const Api& api, const Session* session, const char* side,
                                  CountFn count_of, NameFn name_of, TypeFn type_of) {
  Allocator* allocator = nullptr;
  must(api, api.GetAllocatorWithDefaultOptions(&allocator));
  std::size_t count = 0;
  must(api, count_of(session, &count));
  std::vector<TensorSpec> specs;
  for (std::size_t index = 0; index < count; ++index) {
    char* name = nullptr;
    must(api, name_of(session, index, allocator, &name));
    std::string kept(name);
    must(api, api.AllocatorFree(allocator, name));
    Handle<TypeInfo> type(api);
    must(api, type_of(session, index, type.out()));
    specs.push_back(read_spec(api, side, std::move(kept), type.get()));
  }
  return specs;
}

}  // namespace

Signature read_signature(const Api& api, const Session* session) {
  Signature signature;
  signature.inputs = read_side(api, session, "input", api.SessionGetInputCount,
                               api.SessionGetInputName, api.SessionGetInputTypeInfo);
  signature.outputs = read_side(api, session, "output", api.SessionGetOutputCount,
                                api.SessionGetOutputName, api.SessionGetOutputTypeInfo);
  find_batch_axis(signature);
  return signature;
}

}  // namespace inferkit::ort
