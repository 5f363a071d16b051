// The threads of ONNX Runtime's pools, started as ours are.
#pragma once

#include "backend/ort_abi.h"

namespace inferkit::ort {

// From now on a session of these options starts its threads through start_thread(), so that no
// process forks while one is made. A thread that the system refuses fails the session's creation.
// Threads: as the options. Throws: Error(model_load).
void start_threads_ourselves(const Api& api, SessionOptions* options);

}  // namespace inferkit::ort
