// Reading what a session's model takes and gives.
#pragma once

#include "backend/ort_abi.h"
#include "batch/signature.h"

namespace inferkit::ort {

// Names, types, dimensions and symbols, with find_batch_axis() applied.
// Throws: Error(model_load) naming a tensor whose kind, element type or rank we cannot serve.
[[nodiscard]] Signature read_signature(const Api& api, const Session* session);

}  // namespace inferkit::ort
