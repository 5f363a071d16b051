// Building one ONNX Runtime session.
#pragma once

#include <cstdint>

#include "backend/ort_abi.h"
#include "backend/ort_handle.h"
#include "backend/ort_library.h"
#include "backend/ort_options.h"

namespace inferkit::ort {

// Throws Error(model_load) for providers and config entries that cannot be honoured.
void require_usable(const OrtLibrary& library, const OrtOptions& options);

// Whether the sessions compute in the process's pool: it serves, and session_config does not say
// otherwise.
[[nodiscard]] bool computes_in_pool(const OrtLibrary& library, const OrtOptions& options);

// Call it on a prepared thread (base/thread_setup.h): a session with more than one thread starts
// its pool here, whose threads inherit the signal mask, and this flushes the caller's denormals.
// Custom-op libraries are never registered, and every graph optimisation is on. Blocks: reads and
// optimises the model. Throws: Error(model_load) with ONNX Runtime's reason.
[[nodiscard]] Handle<Session> build_session(const OrtLibrary& library, const OrtModel& model,
                                            const OrtOptions& options, std::uint32_t threads);

}  // namespace inferkit::ort
