#include "testing/scripted_backend.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "backend/backend_conformance.h"

namespace inferkit {
namespace {

// One run of the row-wise model; the answers, or the error that it throws.
std::vector<float> run_one(ScriptedBackend& backend, std::vector<float> x,
                           const RunContext& context = {}) {
  const std::array<std::int64_t, 2> dims = {static_cast<std::int64_t>(x.size()), 1};
  std::vector<float> y(x.size());
  const TensorView input{DType::float32, Shape(dims), reinterpret_cast<std::byte*>(x.data())};
  OutputSlot slot{{DType::float32, Shape(dims), reinterpret_cast<std::byte*>(y.data())}, {}};
  backend.run({&input, 1}, {&slot, 1}, context);
  return y;
}

TEST_CASE("the scripted backend conforms") {
  ScriptedBackend backend(row_wise_signature(4), 2);
  BackendConformance(backend, 4).check_all();
  CHECK_FALSE(backend.keeps_alone_session());
}

TEST_CASE("it remembers the runs that it saw") {
  ScriptedBackend backend(row_wise_signature(1), 3);
  run_one(backend, {7, 8}, {2, false});
  run_one(backend, {9});
  const auto seen = backend.seen();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].rows == 2);
  CHECK(seen[0].instance == 2);
  CHECK_FALSE(seen[0].alone);
  CHECK(seen[0].first == std::vector<double>{7, 8});
  CHECK(seen[1].alone);
}

TEST_CASE("it fails as scripted and recovers") {
  ScriptedBackend backend(row_wise_signature(1));
  backend.fail_next(Error(ErrorCode::backend, "out of memory", 6), 2);
  CHECK_THROWS_AS(run_one(backend, {1}), Error);
  CHECK_THROWS_AS(run_one(backend, {1}), Error);
  CHECK(run_one(backend, {1}) == std::vector<float>{3});
  backend.fail_when([](const SeenRun& run) -> std::optional<Error> {
    for (const double value : run.first) {
      if (value == 13) return Error(ErrorCode::invalid_input, "thirteen", 2);
    }
    return std::nullopt;
  });
  CHECK_THROWS_AS(run_one(backend, {1, 13}), Error);
  CHECK(run_one(backend, {1, 2}) == std::vector<float>{3, 5});
  CHECK(backend.seen()[3].failed);
  CHECK_FALSE(backend.seen()[4].failed);
}

TEST_CASE("the gate holds runs until the test lets them pass") {
  ScriptedBackend backend(row_wise_signature(1), 2);
  backend.shut_gate();
  std::array<std::vector<float>, 2> answers;
  std::thread first([&] { answers[0] = run_one(backend, {1}, {0, true}); });
  backend.wait_until_begun(1);
  std::thread second([&] { answers[1] = run_one(backend, {2}, {1, false}); });
  backend.wait_until_begun(2);
  CHECK(backend.most_at_once() == 2);
  backend.let_pass(1);
  backend.open_gate();
  first.join();
  second.join();
  CHECK(answers[0] == std::vector<float>{3});
  CHECK(answers[1] == std::vector<float>{5});
}

TEST_CASE("two runs in one instance are caught") {
  ScriptedBackend backend(row_wise_signature(1));
  backend.shut_gate();
  std::thread holder([&] { run_one(backend, {1}); });
  backend.wait_until_begun(1);
  CHECK_THROWS_AS(run_one(backend, {2}), Error);
  backend.open_gate();
  holder.join();
  CHECK(run_one(backend, {2}) == std::vector<float>{5});
}

TEST_CASE("the hook sees a run before its answer") {
  ScriptedBackend backend(row_wise_signature(1));
  std::int64_t rows = 0;
  backend.on_run([&](const SeenRun& run) { rows = run.rows; });
  run_one(backend, {1, 2, 3});
  CHECK(rows == 3);
}

TEST_CASE("several inputs, types and open dimensions") {
  Signature signature;
  const std::int64_t dims[] = {-1, -1};
  for (const DType dtype : {DType::int64, DType::boolean}) {
    TensorSpec spec;
    spec.name = "in";
    spec.dtype = dtype;
    spec.shape = Shape(dims);
    signature.inputs.push_back(spec);
  }
  TensorSpec out = signature.inputs[0];
  out.dtype = DType::float64;
  signature.outputs = {out, out};
  ScriptedBackend backend(signature);
  std::vector<std::int64_t> a = {1, 2};
  bool b[] = {true, false};
  const std::array<std::int64_t, 2> shape = {1, 2};
  const std::array<TensorView, 2> inputs = {
      TensorView{DType::int64, Shape(shape), reinterpret_cast<std::byte*>(a.data())},
      TensorView{DType::boolean, Shape(shape), reinterpret_cast<std::byte*>(b)}};
  std::array<OutputSlot, 2> slots;
  backend.run(inputs, slots, {});
  std::array<double, 2> second{};
  std::memcpy(second.data(), slots[1].view.data, sizeof(second));
  CHECK(second == std::array<double, 2>{6, 6});  // 2 (1 + 1) + 1 + 1, 2 (2 + 0) + 1 + 1
}

}  // namespace
}  // namespace inferkit
