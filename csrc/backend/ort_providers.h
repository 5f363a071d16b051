// Which execution providers a session may use.
#pragma once

#include "backend/ort_abi.h"
#include "backend/ort_library.h"
#include "backend/ort_options.h"

namespace inferkit::ort {

// Throws Error(model_load) naming a provider that this library does not contain or that has
// options without being asked for, and what there is instead.
void require_providers(const OrtLibrary& library, const OrtOptions& options);

// Adds the wanted providers to the session options, in order. The CPU is always there, last.
// Throws: Error(model_load) with ONNX Runtime's reason.
void append_providers(const OrtLibrary& library, const OrtOptions& options,
                      SessionOptions* session);

}  // namespace inferkit::ort
