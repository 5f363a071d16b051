// An engine over the scripted backend, and callers for it.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "support/mailbox.h"
#include "support/views.h"
#include "testing/fake_clock.h"
#include "testing/scripted_backend.h"

namespace inferkit::testing {

// How a request ended, read before its record went back.
struct Outcome {
  RequestState state = RequestState::free;
  std::vector<float> values;   // done: its rows of the first output
  std::optional<Error> error;  // failed, expired, closed
};

// Takes the outcome and releases the record.
[[nodiscard]] inline Outcome collect(Engine& engine, EngineRequest* request) {
  REQUIRE(request != nullptr);
  Outcome outcome;
  outcome.state = request->state();
  if (outcome.state == RequestState::done) {
    const TensorView& view = request->result->outputs()[0].view;
    const std::vector<float> all = read<float>(view);
    const std::size_t row = all.size() / static_cast<std::size_t>(view.shape[0]);
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(request->first_row * row);
    outcome.values.assign(first, first + static_cast<std::ptrdiff_t>(request->rows * row));
  } else if (outcome.state != RequestState::cancelled) {
    outcome.error = engine.error_of(*request);
  }
  engine.release(request);
  return outcome;
}

// The model of the scripted backend.
[[nodiscard]] inline std::vector<float> answer_to(std::vector<float> values) {
  for (float& value : values) value = 2 * value + 1;
  return values;
}

// One instance, no warm-up, so that the test sees every run.
[[nodiscard]] inline EngineOptions bare_options() {
  EngineOptions options;
  options.instances = 1;
  options.warmup = false;
  return options;
}

// What the engine owns and drops when it is closed, while the test keeps the backend itself.
class SharedBackend final : public Backend {
 public:
  explicit SharedBackend(std::shared_ptr<ScriptedBackend> scripted)
      : scripted_(std::move(scripted)) {}

  [[nodiscard]] const Signature& signature() const noexcept override {
    return scripted_->signature();
  }
  [[nodiscard]] std::vector<std::string> notes() const override { return scripted_->notes(); }
  void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
           const RunContext& context) override {
    scripted_->run(inputs, outputs, context);
  }
  void keep_alone_session(bool keep) override { scripted_->keep_alone_session(keep); }
  void stop_runs() noexcept override { scripted_->stop_runs(); }
  void stop_run(std::uint32_t instance) noexcept override { scripted_->stop_run(instance); }
  void resume_runs(std::uint32_t instance) noexcept override { scripted_->resume_runs(instance); }

 private:
  std::shared_ptr<ScriptedBackend> scripted_;
};

// x float32 [n, 1] -> y = 2 x + 1. A request is the list of its rows.
// Owns: the engine, and a mailbox for callers that do not block. At its end everything accepted
// has ended, nothing is left of it in the pool, and the ledger adds up.
class Rig {
 public:
  explicit Rig(const EngineOptions& options = bare_options(), const Clock& clock = steady_clock())
      : Rig(row_wise_signature(1), options, clock) {}
  Rig(const Signature& signature, const EngineOptions& options, const Clock& clock = steady_clock())
      : backend_(std::make_shared<ScriptedBackend>(signature, options.instances)),
        engine_(Engine::open(std::make_unique<SharedBackend>(backend_), options, 0, clock)) {}
  ~Rig() {
    backend_->open_gate();
    engine_->close(false, kNever);
    while (EngineRequest* left = box.take_ready()) engine_->release(left);
    check_ledger(*engine_);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  static void check_ledger(const Engine& engine) {
    const EngineStats stats = engine.stats();
    CHECK(stats.in_flight == 0);
    CHECK(stats.accepted ==
          stats.answered + stats.failed + stats.cancelled + stats.expired + stats.closed);
    CHECK(stats.undeliverable <= stats.answered + stats.failed);
    CHECK(stats.queued_bytes == 0);
    CHECK(stats.pool.blocks_in_use == 0);
  }

  [[nodiscard]] ScriptedBackend& backend() noexcept { return *backend_; }
  [[nodiscard]] Engine& engine() noexcept { return *engine_; }
  [[nodiscard]] EngineStats stats() const { return engine_->stats(); }
  [[nodiscard]] TimeNs in(DurationNs time) const { return engine_->clock().now() + time; }

  // Accepted, not queued. Null: `if_full` is announce and there is no room.
  [[nodiscard]] EngineRequest* admit(std::vector<float> rows, const Call& call = {},
                                     IfFull if_full = IfFull::fail) {
    const TensorView view{DType::float32, shape_of({static_cast<std::int64_t>(rows.size()), 1}),
                          reinterpret_cast<std::byte*>(rows.data())};
    return engine_->admit({&view, 1}, call, if_full);
  }
  // Queued; its answer comes to `box`.
  EngineRequest* submit(std::vector<float> rows, Call call = {}) {
    call.sink = &box;
    EngineRequest* request = admit(std::move(rows), call);
    engine_->submit(request);
    return request;
  }
  // Queued by a caller that will wait() for it.
  [[nodiscard]] EngineRequest* start(std::vector<float> rows, const Call& call = {}) {
    EngineRequest* request = admit(std::move(rows), call);
    engine_->start(request);
    return request;
  }
  [[nodiscard]] Outcome wait(EngineRequest* request) {
    REQUIRE(engine_->await(request, kNever));
    return collect(*engine_, request);
  }
  [[nodiscard]] Outcome run(std::vector<float> rows, const Call& call = {}) {
    return wait(start(std::move(rows), call));
  }
  [[nodiscard]] Outcome next() { return collect(*engine_, box.take()); }

  // A run of the one row that waits inside the backend until the gate opens; it takes the runner.
  void occupy(float row = 0) {
    const auto begun = static_cast<std::uint32_t>(backend().seen().size());
    backend().shut_gate();
    submit({row});
    backend().wait_until_begun(begun + 1);
  }

  Mailbox box;

 private:
  std::shared_ptr<ScriptedBackend> backend_;
  std::shared_ptr<Engine> engine_;
};

}  // namespace inferkit::testing
