// What ONNX Runtime makes once per process, at its first session.
#pragma once

namespace inferkit {

class OrtLibrary;

namespace ort {

// Makes it now, by a session that is thrown away: the registry of its kernels, foremost. A child of
// fork() would wait for ever for a thread that was making it in the parent. Called with the lock
// that a fork() waits for (ort_library.cpp), which a load of the user's model must not hold: that
// may take minutes. A library that refuses the session is not refused for that.
// Blocks: some milliseconds. Throws: Error(system_limit) without a thread.
void fill_tables(const OrtLibrary& library);

}  // namespace ort
}  // namespace inferkit
