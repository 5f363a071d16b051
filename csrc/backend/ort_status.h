// ONNX Runtime's status objects as our errors.
#pragma once

#include <string_view>

#include "backend/ort_abi.h"
#include "base/error.h"

namespace inferkit::ort {

// Turns a failure into an Error that quotes ONNX Runtime and keeps its code, and releases it.
[[nodiscard]] Error take_error(const Api& api, Status* failure, ErrorCode code,
                               std::string_view doing);

// The error of a failed Run. ONNX Runtime's INVALID_ARGUMENT becomes invalid_input: names, types,
// ranks and dimensions were compared with the signature before, so what is left is a value or a
// combination that only the graph can judge (an index out of range, two inputs that do not
// match). Everything else becomes backend.
[[nodiscard]] Error take_run_error(const Api& api, Status* failure);

// Throws unless status is null. `doing` completes "onnxruntime failed to ...".
inline void check(const Api& api, Status* status, ErrorCode code, std::string_view doing) {
  if (status != nullptr) [[unlikely]]
    throw take_error(api, status, code, doing);
}

}  // namespace inferkit::ort
