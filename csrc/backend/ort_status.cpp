#include "backend/ort_status.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

namespace inferkit::ort {
namespace {

// OrtErrorCode, in order; as ONNX Runtime's own Python binding prints them.
std::string_view code_name(int code) noexcept {
  constexpr std::string_view kNames[] = {"OK",
                                         "FAIL",
                                         "INVALID_ARGUMENT",
                                         "NO_SUCHFILE",
                                         "NO_MODEL",
                                         "ENGINE_ERROR",
                                         "RUNTIME_EXCEPTION",
                                         "INVALID_PROTOBUF",
                                         "MODEL_LOADED",
                                         "NOT_IMPLEMENTED",
                                         "INVALID_GRAPH",
                                         "EP_FAIL",
                                         "MODEL_LOAD_CANCELED",
                                         "MODEL_REQUIRES_COMPILATION",
                                         "NOT_FOUND"};
  const auto index = static_cast<std::size_t>(code);
  return code >= 0 && index < std::size(kNames) ? kNames[index] : "unknown";
}

// ONNX Runtime has no code for it, only words: our pool's and CUDA's, the standard library's, those
// of its own arenas, and of cuBLAS and cuDNN.
bool tells_of_no_memory(std::string_view message) noexcept {
  constexpr std::string_view kWords[] = {"out of memory", "bad_alloc", "Failed to allocate memory",
                                         "ALLOC_FAILED"};
  return std::any_of(std::begin(kWords), std::end(kWords), [message](std::string_view words) {
    return message.find(words) != std::string_view::npos;
  });
}

}  // namespace

Error take_error(const Api& api, Status* failure, ErrorCode code, std::string_view doing) {
  const int number = api.GetErrorCode(failure);
  std::string message = text("onnxruntime failed to ", doing, ": ", api.GetErrorMessage(failure),
                             " (", code_name(number), ", code ", number, ")");
  api.ReleaseStatus(failure);
  return Error(code, std::move(message), number);
}

Error take_run_error(const Api& api, Status* failure) {
  ErrorCode code = ErrorCode::backend;
  if (tells_of_no_memory(api.GetErrorMessage(failure))) {
    code = ErrorCode::out_of_memory;
  } else if (api.GetErrorCode(failure) == kInvalidArgument) {
    code = ErrorCode::invalid_input;
  }
  return take_error(api, failure, code, "run the model");
}

}  // namespace inferkit::ort
