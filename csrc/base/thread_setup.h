// How threads of our own are made: deaf to the host's signals, and flushing denormals.
#pragma once

#include <cstdint>
#include <functional>

namespace inferkit {

// Makes the calling thread one of ours: masks every signal but the synchronous ones (SEGV, BUS,
// FPE, ILL, TRAP, SYS), flushes denormals for good, and takes `name` (cut at 15 bytes by Linux).
// Threads that it starts inherit all three. Never call it on a thread that the host lent.
// Threads: the calling one only. Blocks: never. Throws: never.
void prepare_own_thread(const char* name) noexcept;

// Runs `work` on a new prepared thread and waits for it. ONNX Runtime's sessions are built this
// way, since its pools inherit the mask of the thread that creates them.
// Threads: any. Blocks: until `work` is done. Throws: what `work` threw; Error(system_limit).
void on_prepared_thread(const char* name, const std::function<void()>& work);

// Flushes denormals (inputs and results) on this thread until destroyed, then puts back exactly
// the mode it found. For a lent thread around one Run: 1e-41 rows made a batch 77-141x slower.
// Threads: create and destroy on the same one. Costs two register moves.
class FlushDenormals {
 public:
  FlushDenormals() noexcept;
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  std::uint64_t found_;
};

// Whether this thread flushes denormals now; false on machines whose mode we do not know.
[[nodiscard]] bool flushes_denormals() noexcept;

}  // namespace inferkit
