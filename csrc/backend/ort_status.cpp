#include "backend/ort_status.h"

#include <string>

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

}  // namespace

Error take_error(const Api& api, Status* failure, ErrorCode code, std::string_view doing) {
  const int number = api.GetErrorCode(failure);
  std::string message = text("onnxruntime failed to ", doing, ": ", api.GetErrorMessage(failure),
                             " (", code_name(number), ", code ", number, ")");
  api.ReleaseStatus(failure);
  return Error(code, std::move(message), number);
}

Error take_run_error(const Api& api, Status* failure) {
  const bool input = api.GetErrorCode(failure) == kInvalidArgument;
  return take_error(api, failure, input ? ErrorCode::invalid_input : ErrorCode::backend,
                    "run the model");
}

}  // namespace inferkit::ort
