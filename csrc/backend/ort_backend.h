// Models that ONNX Runtime computes.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/ort_library.h"
#include "backend/ort_options.h"

namespace inferkit {

// Loads the model on a thread of our own, so that ONNX Runtime's pool threads inherit its signal
// mask; they flush denormals. run() itself leaves the caller's floating-point mode alone.
//
// Two sessions: *solo*, with options.threads threads, takes runs that are alone; *load*, with one
// thread and thus no pool, takes all others, so that instances do not fight for the cores. One
// session does both where there is one thread, or where a provider other than the CPU computes.
// keep_alone_session(false) frees solo, for good; no run may be in progress then.
//
// An output slot without data comes back in memory of ONNX Runtime's, kept alive by its owner. So
// does a slot bound as a scalar whose result is none: the model had not declared its rank.
// Blocks: reads, optimises and pre-packs the model. Throws: Error(model_load).
[[nodiscard]] std::unique_ptr<Backend> make_ort_backend(OrtLibrary& library, const OrtModel& model,
                                                        const OrtOptions& options);

}  // namespace inferkit
