#include "backend/ort_backend.h"

#include <string>
#include <utility>
#include <vector>

#include "backend/ort_handle.h"
#include "backend/ort_session.h"
#include "backend/ort_signature.h"
#include "backend/ort_status.h"
#include "backend/ort_value.h"
#include "base/error.h"
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
struct alignas(64) Instance {
  explicit Instance(const ort::Api& api) : options(api) {}
  Handle<ort::RunOptions> options;
  std::vector<ort::Value*> inputs;
  std::vector<ort::Value*> outputs;
};

// Releases every value of an instance when its run ends, however it ends.
class ValuesOfRun {
 public:
  ValuesOfRun(const ort::Api& api, Instance& instance) noexcept : api_(api), instance_(instance) {}
  ~ValuesOfRun() {
    for (ort::Value*& value : instance_.inputs) api_.ReleaseValue(std::exchange(value, nullptr));
    for (ort::Value*& value : instance_.outputs) api_.ReleaseValue(std::exchange(value, nullptr));
  }
  ValuesOfRun(const ValuesOfRun&) = delete;
  ValuesOfRun& operator=(const ValuesOfRun&) = delete;

 private:
  const ort::Api& api_;
  Instance& instance_;
};

class OrtBackend final : public Backend {
 public:
  OrtBackend(OrtLibrary& library, const OrtModel& model, const OrtOptions& options);

  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override;
  void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
           const RunContext& context) override;
  void keep_alone_session(bool keep) override {
    if (!keep) solo_.reset();
  }

 private:
  void load(const OrtModel& model, const OrtOptions& options);
  void make_instances(std::uint32_t count);

  OrtLibrary& library_;
  const ort::Api& api_;
  std::uint32_t threads_;
  std::uint32_t load_threads_;
  std::vector<std::string> providers_;
  Handle<ort::Session> load_;
  Handle<ort::Session> solo_;  // empty where load_ serves every run
  Handle<ort::MemoryInfo> memory_;
  Signature signature_;
  std::vector<const char*> input_names_;
  std::vector<const char*> output_names_;
  std::vector<Instance> instances_;
};

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
      load_(api_),
      solo_(api_),
      memory_(api_) {
  ort::require_usable(library, options);
  on_prepared_thread("inferkit-load", [&] { load(model, options); });
  signature_ = ort::read_signature(api_, load_.get());
  for (const TensorSpec& spec : signature_.inputs) input_names_.push_back(spec.name.c_str());
  for (const TensorSpec& spec : signature_.outputs) output_names_.push_back(spec.name.c_str());
  ort::check(api_,
             api_.CreateCpuMemoryInfo(ort::kArenaAllocator, ort::kMemoryDefault, memory_.out()),
             ErrorCode::model_load, "describe memory");
  make_instances(options.instances);
#if defined(__GLIBC__)
  malloc_trim(0);  // loading leaves freed copies of the weights in the heap
#endif
}

void OrtBackend::load(const OrtModel& model, const OrtOptions& options) {
  load_ = ort::build_session(library_, model, options, load_threads_);
  if (threads_ > load_threads_) {
    solo_ = ort::build_session(library_, model, options, threads_);
  }
}

void OrtBackend::make_instances(std::uint32_t count) {
  instances_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Instance& instance = instances_.emplace_back(api_);
    ort::check(api_, api_.CreateRunOptions(instance.options.out()), ErrorCode::model_load,
               "create run options");
    instance.inputs.resize(signature_.inputs.size());
    instance.outputs.resize(signature_.outputs.size());
  }
}

std::vector<std::string> OrtBackend::notes() const {
  std::string providers;
  for (const std::string& name : providers_) providers += (providers.empty() ? "" : ", ") + name;
  std::vector<std::string> lines;
  lines.push_back(text("onnxruntime ", library_.version(), " at ", library_.path()));
  lines.push_back(text("execution providers: ",
                       providers.empty() ? std::string("CPUExecutionProvider") : providers));
  lines.push_back(solo_ ? text("a run that is alone uses ", threads_, " threads, others one each")
                        : text("each run uses ", load_threads_, " thread(s) of the CPU"));
  return lines;
}

void OrtBackend::run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                     const RunContext& context) {
  Instance& instance = instances_[context.instance];
  const ValuesOfRun released(api_, instance);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    instance.inputs[i] = ort::borrow(api_, memory_.get(), inputs[i]);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].view.data == nullptr) continue;
    instance.outputs[i] = ort::borrow(api_, memory_.get(), outputs[i].view);
  }
  ort::Session* const session = context.alone && solo_ ? solo_.get() : load_.get();
  ort::Status* const failure =
      api_.Run(session, instance.options.get(), input_names_.data(), instance.inputs.data(),
               inputs.size(), output_names_.data(), outputs.size(), instance.outputs.data());
  if (failure != nullptr) [[unlikely]]
    throw ort::take_run_error(api_, failure);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].view.data != nullptr) continue;
    outputs[i].view.dtype = signature_.outputs[i].dtype;
    ort::adopt(api_, Handle<ort::Value>(api_, std::exchange(instance.outputs[i], nullptr)),
               outputs[i]);
  }
}

}  // namespace

std::unique_ptr<Backend> make_ort_backend(OrtLibrary& library, const OrtModel& model,
                                          const OrtOptions& options) {
  return std::make_unique<OrtBackend>(library, model, options);
}

}  // namespace inferkit
