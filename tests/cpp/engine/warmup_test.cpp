#include "engine/warmup.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using Inputs = std::span<const TensorView>;
using Outputs = std::span<OutputSlot>;

const float* floats(const TensorView& view) { return reinterpret_cast<const float*>(view.data); }
float* writable(const TensorView& view) { return reinterpret_cast<float*>(view.data); }

// y[i] = f(x, i), rows and columns as in x.
template <class F>
FunctionBackend::Run each(F f) {
  return [f](Inputs inputs, Outputs outputs) {
    place(outputs[0], inputs[0].shape);
    const auto count = static_cast<std::size_t>(inputs[0].shape[0] * inputs[0].shape[1]);
    for (std::size_t i = 0; i < count; ++i) {
      writable(outputs[0].view)[i] = f(floats(inputs[0]), i, count);
    }
  };
}

Findings look_at(Signature signature, FunctionBackend::Run run, EngineOptions options = {}) {
  FunctionBackend backend(std::move(signature), std::move(run));
  return warm_up(backend, options, 0, steady_clock());
}

const auto kTwice = each([](const float* x, std::size_t i, std::size_t) { return 2 * x[i]; });
const auto kMean = each([](const float* x, std::size_t i, std::size_t count) {
  float sum = 0;
  for (std::size_t k = 0; k < count; ++k) sum += x[k];
  return x[i] - sum / static_cast<float>(count);
});

TEST_CASE("warm-up: rows that do not know each other may travel together") {
  const Findings findings = look_at(row_wise_signature(3), kTwice);
  CHECK(findings.signature.batched);
  CHECK(says(findings.signature.reason, "checked"));
  CHECK(findings.shapes_proven);
  CHECK(findings.latency.measured());
  CHECK_FALSE(findings.notes.empty());
}

TEST_CASE("warm-up: a model whose rows lean on each other is refused, with the output's name") {
  const Findings findings = look_at(row_wise_signature(3), kMean);
  CHECK_FALSE(findings.signature.batched);
  CHECK(says(findings.signature.reason, "depends on the rows beside it", "'y'"));
}

// Rows scaled by the largest value of the batch, if that is above a bound.
auto scaled_above(float bound) {
  return each([bound](const float* x, std::size_t i, std::size_t count) {
    float largest = bound;
    for (std::size_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(x[k]));
    return x[i] / largest;
  });
}

TEST_CASE("warm-up: so is one whose rows lean on each other for rare values only") {
  CHECK(says(look_at(row_wise_signature(3), scaled_above(0.5F)).signature.reason, "depends"));
  for (const float bound : {1.0F, 8.0F, 255.0F, 9e5F}) {
    const Findings findings = look_at(row_wise_signature(3), scaled_above(bound));
    CHECK_FALSE(findings.signature.batched);
    CHECK(says(findings.signature.reason, "depends on the rows beside it", "huge values"));
  }
  const auto nothing_beside_nan = each([](const float* x, std::size_t i, std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
      if (std::isnan(x[k])) return 0.0F;
    }
    return x[i];
  });
  const Findings findings = look_at(row_wise_signature(3), nothing_beside_nan);
  CHECK_FALSE(findings.signature.batched);
  CHECK(says(findings.signature.reason, "infinities and NaN"));
}

TEST_CASE("warm-up: infinite alone and finite in a batch is another answer") {
  const auto log_above_least = each([](const float* x, std::size_t i, std::size_t count) {
    float least = x[0];
    for (std::size_t k = 0; k < count; ++k) least = std::min(least, x[k]);
    return std::log(x[i] - least);
  });
  CHECK_FALSE(look_at(row_wise_signature(1), log_above_least).signature.batched);
}

TEST_CASE("warm-up: so is one that loses rows when they repeat") {
  const Findings findings = look_at(row_wise_signature(2), [](Inputs inputs, Outputs outputs) {
    const std::int64_t rows = inputs[0].shape[0];
    const float* x = floats(inputs[0]);
    const bool repeats = rows > 1 && x[0] == x[2] && x[1] == x[3];
    place(outputs[0], shape_of({repeats ? rows - 1 : rows, 2}));
    std::copy_n(x, 2 * (repeats ? rows - 1 : rows), writable(outputs[0].view));
  });
  CHECK_FALSE(findings.signature.batched);
  CHECK(says(findings.signature.reason, "[3, 2]", "4 rows", "rows that repeat"));
}

TEST_CASE("warm-up: a model that will not run on rare values is batched all the same") {
  const Findings findings = look_at(row_wise_signature(2), [](Inputs inputs, Outputs outputs) {
    const float* second = floats(inputs[0]) + 2;
    if (inputs[0].shape[0] > 1 && std::abs(*second) > 1) {
      throw Error(ErrorCode::backend, "too large");
    }
    kTwice(inputs, outputs);
  });
  CHECK(findings.signature.batched);
  CHECK(findings.shapes_proven);
  REQUIRE_FALSE(findings.notes.empty());
  CHECK(findings.notes[1] ==
        "not checked: beside huge values (too large), beside infinities and NaN (too large)");
}

TEST_CASE("warm-up: so is one that does not repeat itself") {
  std::atomic<int> runs{0};
  const Findings findings = look_at(row_wise_signature(3), [&](Inputs inputs, Outputs outputs) {
    kTwice(inputs, outputs);
    writable(outputs[0].view)[0] += static_cast<float>(runs.fetch_add(1));
  });
  CHECK_FALSE(findings.signature.batched);
}

TEST_CASE("warm-up: differences within rounding are none") {
  const Findings close =
      look_at(row_wise_signature(3), each([](const float* x, std::size_t i, std::size_t count) {
                return x[i] * (1 + 1e-6F * static_cast<float>(count));
              }));
  CHECK(close.signature.batched);
  const Findings far =
      look_at(row_wise_signature(3), each([](const float* x, std::size_t i, std::size_t count) {
                return x[i] * (1 + 1e-3F * static_cast<float>(count));
              }));
  CHECK_FALSE(far.signature.batched);
}

TEST_CASE("warm-up: outputs of other shapes than declared") {
  const Findings short_by_one = look_at(row_wise_signature(1), [](Inputs inputs, Outputs outputs) {
    place(outputs[0], shape_of({inputs[0].shape[0] - 1, 1}));
  });
  CHECK_FALSE(short_by_one.signature.batched);
  CHECK(says(short_by_one.signature.reason, "'y'", "[3, 1]", "4 rows"));
}

TEST_CASE("warm-up: a row that takes less room in a batch is refused, not read past its end") {
  // [4, 1] together, [1, 64] alone, as a model that packs what it found.
  const Findings findings = look_at(
      signature_of({spec_of("x", DType::float32, {-1, 1})},
                   {spec_of("y", DType::float32, {-1, -1})}),
      [](Inputs inputs, Outputs outputs) {
        const std::int64_t rows = inputs[0].shape[0];
        place(outputs[0], shape_of({rows, rows == 1 ? 64 : 1}));
        const auto bytes = checked_bytes(DType::float32, outputs[0].view.shape.dims()).value();
        std::fill_n(outputs[0].view.data, bytes, std::byte{0});
      });
  CHECK_FALSE(findings.signature.batched);
  CHECK(says(findings.signature.reason, "'y'", "[4, 1]", "[1, 64]"));
}

TEST_CASE("warm-up: a model that rejects made-up rows stays batched, and unproven") {
  const Findings findings = look_at(row_wise_signature(1), [](Inputs, Outputs) {
    throw Error(ErrorCode::invalid_input, "index out of range");
  });
  CHECK(findings.signature.batched);
  CHECK(says(findings.signature.reason, "unproven"));
  CHECK_FALSE(findings.shapes_proven);
  CHECK_FALSE(findings.latency.measured());
  REQUIRE(findings.notes.size() == 1);
  CHECK(says(findings.notes[0], "index out of range"));
}

TEST_CASE("warm-up: options decide against batching, or insist on it") {
  EngineOptions none;
  none.batch_axis = BatchAxis::none;
  CHECK_FALSE(look_at(row_wise_signature(1), kTwice, none).signature.batched);
  EngineOptions first;
  first.batch_axis = BatchAxis::first;
  CHECK(look_at(row_wise_signature(1), kTwice, first).signature.batched);
  const auto error =
      thrown([&] { static_cast<void>(look_at(row_wise_signature(3), kMean, first)); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::model_load);
  CHECK(says(error->message(), "depends on the rows"));
}

TEST_CASE("warm-up: off, the model is not run") {
  std::atomic<int> runs{0};
  EngineOptions options;
  options.warmup = false;
  const Findings findings =
      look_at(row_wise_signature(1), [&](Inputs, Outputs) { runs.fetch_add(1); }, options);
  CHECK(runs == 0);
  CHECK(findings.signature.batched);
  CHECK_FALSE(findings.shapes_proven);
}

// Each run costs what the function says, on a clock of its own.
class TimedBackend final : public Backend {
 public:
  using Cost = DurationNs (*)(std::int64_t rows);
  TimedBackend(FakeClock& clock, Cost cost) : clock_(clock), cost_(cost) {}

  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override { return {}; }
  void run(Inputs inputs, Outputs outputs, const RunContext& context) override {
    kTwice(inputs, outputs);
    const DurationNs cost = cost_(inputs[0].shape[0]);
    const bool cold = context.alone && runs_alone++ == 0;
    clock_.advance(context.alone && !cold ? cost / speedup_alone : cost);
    most_rows = std::max(most_rows, inputs[0].shape[0]);
  }
  void keep_alone_session(bool keep) override { keeps_alone = keep; }

  int speedup_alone = 1;  // not of the first run, whose threads are not warm yet
  int runs_alone = 0;
  std::int64_t most_rows = 0;
  std::optional<bool> keeps_alone;

 private:
  const Signature signature_ = row_wise_signature(1);
  FakeClock& clock_;
  Cost cost_;
};

TEST_CASE("warm-up: a model on which batching loses is served one by one, by its own choice") {
  FakeClock clock;
  const auto open = [&](TimedBackend::Cost cost, std::uint32_t max_rows) {
    EngineOptions options;
    options.instances = 1;
    options.max_batch_rows = max_rows;
    return Engine::open(std::make_unique<TimedBackend>(clock, cost), options, 0, clock)->explain();
  };
  const auto conv = [](std::int64_t rows) { return rows * kMillisecond; };
  const auto mlp = [](std::int64_t rows) { return kMillisecond + rows * kMicrosecond; };
  CHECK(says(open(conv, 0), "batches of up to 1 rows", "not faster"));
  CHECK(says(open(mlp, 0), "batches of up to 64 rows"));
  CHECK(says(open(conv, 16), "batches of up to 16 rows"));  // who gives a limit has decided
}

TEST_CASE("warm-up: keeps to its time, longer only for a model that took longer to load") {
  FakeClock clock;
  for (const DurationNs load_time : {DurationNs{0}, 30 * kSecond}) {
    TimedBackend backend(clock, [](std::int64_t rows) { return 20 * kMillisecond * rows; });
    const TimeNs start = clock.now();
    const Findings findings = warm_up(backend, {}, load_time, clock);
    CHECK(findings.latency.measured());
    CHECK(clock.now() - start < 2 * std::max(kSecond, load_time));
    CHECK((backend.most_rows < 64) == (load_time == 0));
  }
}

TEST_CASE("warm-up: the session for lone runs is kept where it is faster") {
  const auto quick = [](std::int64_t) { return kMillisecond; };
  const auto heavy = [](std::int64_t rows) { return 9 * kMillisecond * rows; };
  FakeClock clock;
  for (const TimedBackend::Cost cost : {TimedBackend::Cost{quick}, TimedBackend::Cost{heavy}}) {
    for (const int speedup : {1, 2}) {
      TimedBackend backend(clock, cost);
      backend.speedup_alone = speedup;
      static_cast<void>(warm_up(backend, {}, 0, clock));
      REQUIRE(backend.keeps_alone.has_value());
      CHECK(*backend.keeps_alone == (speedup == 2));
    }
  }
}

TEST_CASE("engine: a refused model is served, each request by itself, and says why") {
  EngineOptions options;
  options.instances = 1;
  const auto engine =
      Engine::open(std::make_unique<FunctionBackend>(row_wise_signature(1), kMean), options);
  CHECK(says(engine->explain(), "one request at a time", "depends on the rows beside it"));
  Mailbox box;
  Call call;
  call.sink = &box;
  std::vector<EngineRequest*> requests;
  for (int i = 0; i < 20; ++i) {
    Values<float> x(DType::float32, {2, 1}, {static_cast<float>(i), static_cast<float>(i + 2)});
    const TensorView view = x.view();
    engine->submit(engine->admit({&view, 1}, call, IfFull::fail));
  }
  for (int i = 0; i < 20; ++i) {
    EngineRequest* request = box.take();
    REQUIRE(request != nullptr);
    REQUIRE(request->state() == RequestState::done);
    // The mean of the request's own two rows; another row beside them would move it.
    CHECK(read<float>(request->result->outputs()[0].view) == std::vector<float>{-1, 1});
    engine->release(request);
  }
  CHECK(engine->stats().batch_sizes.rbegin()->first == 1);
  engine->close(true, kNever);
  Rig::check_ledger(*engine);
}

}  // namespace
