// The interface between the engine and whoever computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "batch/signature.h"
#include "memory/output_slot.h"
#include "memory/tensor.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// What a run on made-up values may cost: a model may take them for numbers of rounds or bytes.
struct RunLimits {
  DurationNs time = kNever;
  std::size_t bytes = SIZE_MAX;  // of which the run takes away what it takes, given back or not
};

struct RunContext {
  std::uint32_t instance = 0;  // 0 .. instances-1; no two concurrent runs share one
  bool alone = true;           // nothing else was running when this run began
  // Who is charged for what the run takes elsewhere and for results that outlive it. Null: nobody.
  TensorPool* payer = nullptr;
  // Beyond them the run fails as soon as it can. Who cannot keep to them fails at once.
  RunLimits* limits = nullptr;
};

// Thrown by a run that was told to end, and by nothing else.
class RunStopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "the run was stopped"; }
};

// A loaded model.
// Threads: run() from any thread, at most one at a time per context.instance.
// Blocks: run() computes. Throws: Error(model_load) from factories; RunStopped, Error(backend) and
// Error(invalid_input) from run(), with the backend's own code.
class Backend {
 public:
  virtual ~Backend() = default;

  // As the model declares it; find_batch_axis() has been applied. The engine may refuse later.
  [[nodiscard]] virtual const Signature& signature() const noexcept = 0;

  // Facts for explain(), one line each, such as "onnxruntime 1.31.1 at ..., CPUExecutionProvider".
  [[nodiscard]] virtual std::vector<std::string> notes() const = 0;

  // inputs: as many as the signature has, in its order. outputs: likewise.
  virtual void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                   const RunContext& context) = 0;

  // Runs in progress, and any later one, end with RunStopped as soon as they can; for good. Who
  // cannot do that lets them end by themselves. From any thread. Blocks: never.
  virtual void stop_runs() noexcept {}
  // The same for the run of one instance, or its next one, until resume_runs(); calls for one
  // instance come one after the other, resume_runs() while nothing runs on it.
  virtual void stop_run(std::uint32_t /*instance*/) noexcept {}
  virtual void resume_runs(std::uint32_t /*instance*/) noexcept {}

  // Where runs compute, if that is a pool; the engine calls its grow_older() now and then.
  [[nodiscard]] virtual TensorPool* pool() noexcept { return nullptr; }

  // After warm-up: false drops the many-threaded session kept for runs that are alone.
  virtual void keep_alone_session(bool keep) = 0;
};

}  // namespace inferkit
