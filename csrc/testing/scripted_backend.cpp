#include "testing/scripted_backend.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/parker.h"
#include "testing/scripted_answer.h"

namespace inferkit {
namespace {

constexpr std::uint32_t kOpen = std::numeric_limits<std::uint32_t>::max();
constexpr int kEverybody = std::numeric_limits<int>::max();
constexpr int kInvalidArgument = 2;

// Takes effect when its scope ends, however it ends.
template <class Work>
class AtExit {
 public:
  explicit AtExit(Work work) : work_(std::move(work)) {}
  ~AtExit() { work_(); }
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;

 private:
  Work work_;
};

}  // namespace

Signature row_wise_signature(std::int64_t width) {
  TensorSpec spec;
  const std::int64_t dims[] = {-1, width};
  spec.shape = Shape(dims);
  spec.symbols = {"n", ""};
  Signature signature;
  spec.name = "x";
  signature.inputs.push_back(spec);
  spec.name = "y";
  signature.outputs.push_back(spec);
  find_batch_axis(signature);
  return signature;
}

ScriptedBackend::ScriptedBackend(Signature signature, std::uint32_t instances)
    : signature_(std::move(signature)), busy_(instances, false), passes_(kOpen) {}

std::vector<std::string> ScriptedBackend::notes() const { return {"scripted: y = 2 x + 1"}; }

void ScriptedBackend::run(Inputs inputs, std::span<OutputSlot> outputs, const RunContext& context) {
  const std::size_t run = begin(inputs, context);
  const AtExit ended([&] {
    const std::lock_guard lock(mutex_);
    busy_[context.instance] = false;
    running_.fetch_sub(1);
  });
  wait_at_gate(context.instance);
  std::function<void(const SeenRun&)> hook;
  SeenRun seen;
  {
    const std::lock_guard lock(mutex_);
    hook = on_run_;
    seen = seen_[run];
  }
  if (hook) hook(seen);
  if (stopped_.load()) throw RunStopped();
  fail_as_scripted(run);
  check_inputs(inputs);
  answer(signature_, inputs, outputs);
}

std::size_t ScriptedBackend::begin(Inputs inputs, const RunContext& context) {
  SeenRun seen;
  seen.instance = context.instance;
  seen.alone = context.alone;
  if (!inputs.empty()) {
    seen.rows = inputs[0].shape.rank() == 0 ? 1 : inputs[0].shape[0];
    seen.first = first_of_rows(inputs[0]);
  }
  std::size_t index = 0;
  {
    const std::lock_guard lock(mutex_);
    if (context.instance >= busy_.size() || busy_[context.instance]) {
      fail(ErrorCode::backend, "instance ", context.instance, " is busy or does not exist");
    }
    busy_[context.instance] = true;
    index = seen_.size();
    seen_.push_back(std::move(seen));
    const std::uint32_t now = running_.fetch_add(1) + 1;
    if (now > most_at_once_.load()) most_at_once_.store(now);
  }
  begun_.fetch_add(1);  // after the record is there for whoever wakes
  parker::wake(begun_, kEverybody);
  return index;
}

void ScriptedBackend::wait_at_gate(std::uint32_t instance) {
  for (;;) {
    std::uint32_t left = passes_.load();
    if ((told_.load() & 1U << instance) != 0) throw RunStopped();
    if (left == kOpen) return;
    if (left == 0) {
      parker::wait(passes_, 0, steady_clock().now() + kMillisecond);  // or told
    } else if (passes_.compare_exchange_weak(left, left - 1)) {
      return;
    }
  }
}

void ScriptedBackend::stop_run(std::uint32_t instance) noexcept {
  if (stoppable_.load()) told_.fetch_or(1U << instance);
}

void ScriptedBackend::resume_runs(std::uint32_t instance) noexcept {
  told_.fetch_and(~(1U << instance));
}

void ScriptedBackend::stop_runs() noexcept {
  stopped_.store(true);
  open_gate();
}

void ScriptedBackend::fail_as_scripted(std::size_t run) {
  std::optional<Error> error;
  const std::lock_guard lock(mutex_);
  if (next_errors_left_ > 0) {
    --next_errors_left_;
    error = next_error_;
  } else if (fail_when_) {
    error = fail_when_(seen_[run]);
  }
  seen_[run].failed = error.has_value();
  if (error) throw Error(*error);
}

void ScriptedBackend::check_inputs(Inputs inputs) const {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = signature_.inputs[i];
    bool fits = inputs[i].dtype == spec.dtype && inputs[i].shape.rank() == spec.shape.rank();
    for (std::size_t axis = 0; fits && axis < spec.shape.rank(); ++axis) {
      fits = spec.shape[axis] < 0 || spec.shape[axis] == inputs[i].shape[axis];
    }
    if (!fits) {
      throw Error(ErrorCode::invalid_input,
                  text("input '", spec.name, "' is ", to_string(inputs[i].shape), ", expected ",
                       to_string(spec.shape)),
                  kInvalidArgument);
    }
  }
}

void ScriptedBackend::fail_next(Error error, int runs) {
  const std::lock_guard lock(mutex_);
  next_error_ = std::move(error);
  next_errors_left_ = runs;
}

void ScriptedBackend::fail_when(Failure decide) {
  const std::lock_guard lock(mutex_);
  fail_when_ = std::move(decide);
}

void ScriptedBackend::on_run(std::function<void(const SeenRun&)> hook) {
  const std::lock_guard lock(mutex_);
  on_run_ = std::move(hook);
}

void ScriptedBackend::shut_gate() { passes_.store(0); }

void ScriptedBackend::let_pass(std::uint32_t runs) {
  std::uint32_t now = passes_.load();
  while (now != kOpen && !passes_.compare_exchange_weak(now, now + runs)) {
  }
  parker::wake(passes_, kEverybody);
}

void ScriptedBackend::open_gate() {
  passes_.store(kOpen);
  parker::wake(passes_, kEverybody);
}

void ScriptedBackend::wait_until_begun(std::uint32_t runs) const {
  for (std::uint32_t now = begun_.load(); now < runs; now = begun_.load()) {
    parker::wait(begun_, now, kNever);
  }
}

std::vector<SeenRun> ScriptedBackend::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

}  // namespace inferkit
