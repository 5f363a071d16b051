#include "backend/ort_backend.h"

#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/ort_handle.h"
#include "backend/ort_limited_run.h"
#include "backend/ort_memory.h"
#include "backend/ort_run_stop.h"
#include "backend/ort_session.h"
#include "backend/ort_signature.h"
#include "backend/ort_status.h"
#include "backend/ort_value.h"
#include "base/atom.h"
#include "base/error.h"
#include "base/fork_gate.h"
#include "base/thread_setup.h"
#include "base/usable_cores.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace inferkit {
namespace {

using ort::Handle;

// What one run at a time needs, kept so that a run allocates nothing of ours. On cache lines of
// its own: instances run on different cores.
struct alignas(kCacheLineBytes) Instance {
  explicit Instance(const ort::Api& api) : stop(api) {}
  ort::RunStop stop;
  std::vector<ort::Borrowed> kept_inputs;
  std::vector<ort::Borrowed> kept_outputs;
  std::vector<const ort::Value*> inputs;
  std::vector<ort::Value*> outputs;
};

// Loading leaves freed copies of the weights, and a session its own.
void return_free_memory(ort::Memory& memory) noexcept {
  memory.trim();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

// Whether the slot has memory for ONNX Runtime to write into. Never for a scalar: an output whose
// rank the model does not tell looks like one, and binding it would fail the run.
bool binds(const TensorView& wanted) noexcept {
  return wanted.data != nullptr && wanted.shape.rank() != 0;
}

class OrtBackend final : public Backend {
 public:
  OrtBackend(OrtLibrary& library, const OrtModel& model, const OrtOptions& options);
  ~OrtBackend() override;
  OrtBackend(const OrtBackend&) = delete;
  OrtBackend& operator=(const OrtBackend&) = delete;

  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override;
  void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
           const RunContext& context) override;
  void stop_runs() noexcept override {
    for (Instance& instance : instances_) instance.stop.stop(true);
  }
  void stop_run(std::uint32_t instance) noexcept override { instances_[instance].stop.stop(false); }
  void resume_runs(std::uint32_t instance) noexcept override { instances_[instance].stop.resume(); }
  [[nodiscard]] TensorPool* pool() noexcept override {
    return pooled_ ? &library_.memory().pool() : nullptr;
  }
  void keep_alone_session(bool keep) override {
    if (keep || !solo_) return;
    solo_.reset();
    return_free_memory(library_.memory());
  }

 private:
  void load(const OrtModel& model, const OrtOptions& options);
  void make_instances(std::uint32_t count);
  void adopt_results(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                     Instance& instance) const;
  // Whether ONNX Runtime writes into the slot's own memory.
  [[nodiscard]] bool binds_output(std::size_t i, const TensorView& wanted) const noexcept {
    return binds(wanted) && !passed_[i];
  }

  OrtLibrary& library_;
  const ort::Api& api_;
  std::uint32_t threads_;
  std::uint32_t load_threads_;
  std::vector<std::string> providers_;
  bool pooled_;
  Handle<ort::Session> load_;
  Handle<ort::Session> solo_;  // empty where load_ serves every run
  Handle<ort::MemoryInfo> memory_;
  Signature signature_;
  std::vector<const char*> input_names_;
  std::vector<const char*> output_names_;
  std::vector<std::optional<std::size_t>> passed_;  // an input that this output is
  std::deque<Instance> instances_;                  // never moved
};

// The input that each output hands on unchanged, if it does: a model may name one tensor as both.
// ONNX Runtime ignores memory that is bound to such an output, and its own value shows our input.
std::vector<std::optional<std::size_t>> find_passed(const Signature& signature) {
  std::vector<std::optional<std::size_t>> passed(signature.outputs.size());
  for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
    for (std::size_t k = 0; k < signature.inputs.size(); ++k) {
      if (signature.outputs[i].name == signature.inputs[k].name) passed[i] = k;
    }
  }
  return passed;
}

// On the CPU alone does the number of threads change what a session is good for.
bool computes_on_cpu(const OrtOptions& options) {
  return options.providers.empty() || options.providers.front() == "CPUExecutionProvider";
}

OrtBackend::OrtBackend(OrtLibrary& library, const OrtModel& model, const OrtOptions& options)
    : library_(library),
      api_(library.api()),
      threads_(options.threads != 0 ? options.threads : usable_cores()),
      load_threads_(computes_on_cpu(options) ? 1 : threads_),
      providers_(options.providers),
      pooled_(ort::computes_in_pool(library, options)),
      load_(api_),
      solo_(api_),
      memory_(api_) {
  ort::require_usable(library, options);
  {
    const Unforked whole;
    on_prepared_thread("inferkit-load", [&] { load(model, options); });
  }
  signature_ = ort::read_signature(api_, load_.get());
  passed_ = find_passed(signature_);
  for (const TensorSpec& spec : signature_.inputs) input_names_.push_back(spec.name.c_str());
  for (const TensorSpec& spec : signature_.outputs) output_names_.push_back(spec.name.c_str());
  ort::check(api_,
             api_.CreateCpuMemoryInfo(ort::kArenaAllocator, ort::kMemoryDefault, memory_.out()),
             ErrorCode::model_load, "describe memory");
  make_instances(options.instances);
  return_free_memory(library_.memory());
}

OrtBackend::~OrtBackend() {
  load_.reset();
  solo_.reset();
  return_free_memory(library_.memory());
}

void OrtBackend::load(const OrtModel& model, const OrtOptions& options) {
  const ort::Loading loading;
  load_ = ort::build_session(library_, model, options, load_threads_);
  if (threads_ > load_threads_) {
    solo_ = ort::build_session(library_, model, options, threads_);
  }
}

void OrtBackend::make_instances(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    Instance& instance = instances_.emplace_back(api_);
    instance.inputs.resize(signature_.inputs.size());
    instance.outputs.resize(signature_.outputs.size());
    for (std::size_t k = 0; k < signature_.inputs.size(); ++k) {
      instance.kept_inputs.emplace_back(api_);
    }
    for (std::size_t k = 0; k < signature_.outputs.size(); ++k) {
      instance.kept_outputs.emplace_back(api_);
    }
  }
}

std::vector<std::string> OrtBackend::notes() const {
  const std::string& refusal = library_.memory().refusal();
  std::string providers;
  for (const std::string& name : providers_) providers += (providers.empty() ? "" : ", ") + name;
  std::vector<std::string> lines;
  lines.push_back(text("onnxruntime ", library_.version(), " at ", library_.path()));
  lines.push_back(text("execution providers: ",
                       providers.empty() ? std::string("CPUExecutionProvider") : providers));
  lines.push_back(solo_ ? text("a run that is alone uses ", threads_, " threads, others one each")
                        : text("each run uses ", load_threads_, " thread(s) of the CPU"));
  lines.push_back(pooled_ ? std::string("memory of the model: inferkit's pool")
                          : text("memory of the model: onnxruntime's arenas, which keep their "
                                 "largest size",
                                 refusal.empty() ? "" : "; ", refusal));
  return lines;
}

void OrtBackend::run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                     const RunContext& context) {
  Instance& instance = instances_[context.instance];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    instance.inputs[i] = instance.kept_inputs[i].over(inputs[i], memory_.get());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorView& wanted = outputs[i].view;
    instance.outputs[i] =
        binds_output(i, wanted) ? instance.kept_outputs[i].over(wanted, memory_.get()) : nullptr;
  }
  std::optional<ort::LimitedRun> limited;
  if (context.limits != nullptr) [[unlikely]] {
    if (!pooled_ && context.limits->bytes != SIZE_MAX) {
      fail(ErrorCode::backend, "memory of onnxruntime's own cannot be limited");
    }
    limited.emplace(api_, *context.limits);
  }
  std::optional<ort::Charged> charged;
  if (context.payer != nullptr && pooled_) charged.emplace(*context.payer);
  const bool solo = context.alone && solo_;
  ort::Status* const failure = api_.Run(
      solo ? solo_.get() : load_.get(), limited ? limited->options() : instance.stop.options(),
      input_names_.data(), instance.inputs.data(), inputs.size(), output_names_.data(),
      outputs.size(), instance.outputs.data());
  if (failure != nullptr) [[unlikely]] {
    const Error error = ort::take_run_error(api_, failure);
    if (instance.stop.told()) throw RunStopped();
    throw error;
  }
  adopt_results(inputs, outputs, instance);
}

void OrtBackend::adopt_results(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                               Instance& instance) const {
  std::size_t i = 0;
  try {
    for (; i < outputs.size(); ++i) {
      TensorView& wanted = outputs[i].view;
      if (binds_output(i, wanted)) continue;
      OutputSlot made;
      made.view.dtype = signature_.outputs[i].dtype;
      if (passed_[i]) {
        const Handle<ort::Value> shows_our_input(api_, instance.outputs[i]);
        const TensorView& input = inputs[*passed_[i]];
        if (binds(wanted)) {
          std::memcpy(wanted.data, input.data, ort::bytes_of(input));
        } else {
          ort::copy_into(input, made);
          outputs[i] = std::move(made);
        }
        continue;
      }
      ort::adopt(api_, Handle<ort::Value>(api_, instance.outputs[i]), made);
      if (wanted.data != nullptr && made.view.shape.rank() == 0) {
        std::memcpy(wanted.data, made.view.data, item_size(made.view.dtype));
      } else {
        outputs[i] = std::move(made);
      }
    }
  } catch (...) {
    // The failed one is released by its handle; those after it have no owner yet.
    for (++i; i < outputs.size(); ++i) {
      if (!binds_output(i, outputs[i].view)) api_.ReleaseValue(instance.outputs[i]);
    }
    throw;
  }
}

}  // namespace

std::unique_ptr<Backend> make_ort_backend(OrtLibrary& library, const OrtModel& model,
                                          const OrtOptions& options) {
  return std::make_unique<OrtBackend>(library, model, options);
}

}  // namespace inferkit
