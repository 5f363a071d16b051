// A backend without a model: answers by arithmetic, fails and waits as the test says.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace inferkit {

// One run as the backend saw it.
struct SeenRun {
  std::int64_t rows = 0;  // first dimension of the first input
  std::uint32_t instance = 0;
  bool alone = false;
  bool failed = false;
  std::vector<double> first;  // first element of each row of the first input: who was in it
};

// x float32 [-1, width] -> y float32 [-1, width], batched.
[[nodiscard]] Signature row_wise_signature(std::int64_t width);

// Element i of every output is 2 s + 1 (+ k for output number k), where s sums element i of the
// inputs; a shorter input repeats. An open dimension of an output is that of the first input on
// the same axis, 1 if it has none. Serves every dtype but float16. Inputs that contradict the
// signature fail with invalid_input and code 2, as ONNX Runtime does.
//
// Threads: any for everything; runs are recorded when they begin, in that order.
// Blocks: run() while the gate is shut. Owns: outputs that have no data, through their owner.
class ScriptedBackend final : public Backend {
 public:
  using Inputs = std::span<const TensorView>;
  using Failure = std::function<std::optional<Error>(const SeenRun&)>;

  explicit ScriptedBackend(Signature signature, std::uint32_t instances = 1);

  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override;
  void run(Inputs inputs, std::span<OutputSlot> outputs, const RunContext& context) override;
  void keep_alone_session(bool keep) override { keeps_alone_session_.store(keep); }
  void stop_runs() noexcept override;  // those at the gate, and all later ones, end
  void stop_run(std::uint32_t instance) noexcept override;  // if it waits at the gate
  void resume_runs(std::uint32_t instance) noexcept override;
  // Nobody who waits at the gate is stopped alone, unless a test says so.
  void let_single_runs_be_stopped() { stoppable_.store(true); }
  [[nodiscard]] bool told_to_stop() const noexcept { return told_.load() != 0; }

  // The script. Each may be changed while runs are in progress and holds for runs that begin later.
  void fail_next(Error error, int runs = 1);  // the next `runs` runs, whatever they hold
  void fail_when(Failure decide);             // asked in each run, after fail_next's are used up
  void on_run(std::function<void(const SeenRun&)> hook);  // before the answer; may move a clock

  // The gate. Shut: runs that begin wait inside run(). let_pass(n): n of them, or of later ones,
  // may go on. open_gate(): all.
  void shut_gate();
  void let_pass(std::uint32_t runs);
  void open_gate();

  // Sleeps until `runs` runs in all have begun (waiting at the gate counts).
  void wait_until_begun(std::uint32_t runs) const;

  [[nodiscard]] std::vector<SeenRun> seen() const;
  [[nodiscard]] std::uint32_t most_at_once() const noexcept { return most_at_once_.load(); }
  [[nodiscard]] bool keeps_alone_session() const noexcept { return keeps_alone_session_.load(); }

 private:
  std::size_t begin(Inputs inputs, const RunContext& context);
  void wait_at_gate(std::uint32_t instance);
  void fail_as_scripted(std::size_t run);
  void check_inputs(Inputs inputs) const;

  const Signature signature_;
  mutable std::mutex mutex_;  // everything up to the atomics
  std::vector<SeenRun> seen_;
  std::optional<Error> next_error_;
  int next_errors_left_ = 0;
  Failure fail_when_;
  std::function<void(const SeenRun&)> on_run_;
  std::vector<bool> busy_;  // by instance, to catch two runs in one

  std::atomic<bool> stopped_{false};
  std::atomic<bool> stoppable_{false};
  std::atomic<std::uint32_t> told_{0};   // to stop: a bit for each instance
  std::atomic<std::uint32_t> begun_{0};  // wait_until_begun() sleeps on it
  std::atomic<std::uint32_t> passes_;    // runs that may pass; kOpen: any number
  std::atomic<std::uint32_t> running_{0};
  std::atomic<std::uint32_t> most_at_once_{0};
  std::atomic<bool> keeps_alone_session_{true};
};

}  // namespace inferkit
