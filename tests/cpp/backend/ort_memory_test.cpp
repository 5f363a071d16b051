#include "backend/ort_memory.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "backend/ort_backend.h"
#include "base/failpoint.h"
#include "memory/host_resource.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"
#include "support/thrown.h"

namespace inferkit {
namespace {

using testing::says;
using testing::thrown;

constexpr std::uint64_t kMiB = 1 << 20;

// y = sum(softmax of 16 copies of |x|), so that a run needs 17 times its input.
std::string hungry_model() {
  onnx::Graph graph;
  graph.input("x", onnx::kFloat, {"n", 1024}).output("y", onnx::kFloat, {"n", 1});
  graph.node("Abs", {"x"}, {"a"});
  graph.node("Concat", std::vector<std::string>(16, "a"), {"wide"}, {{"axis", 1}});
  graph.node("Softmax", {"wide"}, {"soft"}, {{"axis", 1}});
  const std::vector<float> one_column(16 * 1024, 1.0F);
  graph.weights("ones", {16 * 1024, 1}, one_column);
  graph.node("MatMul", {"soft", "ones"}, {"y"});
  return graph.model();
}

// Runs rows of ones; what the model answers is of no interest.
void run_rows(Backend& backend, std::int64_t rows, const RunContext& context = {}) {
  std::vector<float> x(static_cast<std::size_t>(rows) * 1024, 1.0F);
  std::vector<float> y(static_cast<std::size_t>(rows));
  const std::array<std::int64_t, 2> in = {rows, 1024};
  const std::array<std::int64_t, 2> out = {rows, 1};
  const TensorView input{DType::float32, Shape(in), reinterpret_cast<std::byte*>(x.data())};
  OutputSlot slot{{DType::float32, Shape(out), reinterpret_cast<std::byte*>(y.data())}, {}};
  backend.run({&input, 1}, {&slot, 1}, context);
}

std::unique_ptr<Backend> hungry_backend() {
  OrtOptions options;
  options.threads = 1;
  return make_ort_backend(*library_for_tests(), as_model(hungry_model()), options);
}

TEST_CASE("weights and intermediate results lie in the pool, and go with the session") {
  if (library_for_tests() == nullptr) return;
  const ort::Memory& memory = library_for_tests()->memory();
  REQUIRE(memory.serves());
  const PoolStats before = memory.stats();
  OrtOptions options;
  options.threads = 1;
  auto backend =
      make_ort_backend(*library_for_tests(), as_model(onnx::mlp({1024, 1024, 1})), options);
  const PoolStats loaded = memory.stats();
  CHECK(loaded.bytes_in_use >= before.bytes_in_use + 4 * kMiB);
  CHECK(loaded.bytes_in_use < before.bytes_in_use + 8 * kMiB);
  CHECK(loaded.bytes_reserved < before.bytes_reserved + 8 * kMiB);  // no copy is left over
  run_rows(*backend, 8);
  CHECK(memory.stats().allocations > loaded.allocations);
  CHECK(memory.stats().bytes_in_use == loaded.bytes_in_use);
  backend.reset();
  CHECK(memory.stats().bytes_in_use == before.bytes_in_use);
  CHECK(memory.stats().bytes_reserved <= before.bytes_reserved);
}

TEST_CASE("no memory for a run is an error of that run") {
  if (library_for_tests() == nullptr) return;
  const auto backend = hungry_backend();
  run_rows(*backend, 1);
  {
    const failpoint::Scoped armed("tensor_pool.carve", {});
    const auto error = thrown([&] { run_rows(*backend, 100); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::out_of_memory);
    CHECK(says(error->message(), "out of memory", "refused", "bytes"));
  }
  run_rows(*backend, 100);
}

TEST_CASE("what a run takes is charged to who pays, until it is given back") {
  if (library_for_tests() == nullptr) return;
  const auto backend = hungry_backend();
  const PoolRef payer = TensorPool::create(host_resource(), 8 * kMiB);
  RunContext context;
  context.payer = payer.get();
  run_rows(*backend, 10, context);  // some 1.3 MiB
  CHECK(payer->stats().bytes_in_use == 0);
  CHECK(payer->stats().blocks_in_use == 0);
  const PoolStats before = library_for_tests()->memory().stats();
  const auto error = thrown([&] { run_rows(*backend, 300, context); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::out_of_memory);
  CHECK(says(error->message(), "out of memory: no room for", "of max_memory_bytes (8388608)"));
  CHECK(payer->stats().bytes_in_use == 0);
  CHECK(library_for_tests()->memory().stats().bytes_in_use == before.bytes_in_use);
  run_rows(*backend, 10, context);
  run_rows(*backend, 300);  // nobody pays
}

TEST_CASE("a result of onnxruntime's own is charged as long as it is kept, session closed or not") {
  if (library_for_tests() == nullptr) return;
  auto backend = hungry_backend();
  PoolRef payer = TensorPool::create(host_resource(), 64 * kMiB);
  RunContext context;
  context.payer = payer.get();
  std::vector<float> x(4096 * 1024, 1.0F);
  const std::array<std::int64_t, 2> in = {1024, 1024};
  const TensorView input{DType::float32, Shape(in), reinterpret_cast<std::byte*>(x.data())};
  OutputSlot made;  // no memory of ours: ONNX Runtime makes it
  CHECK_THROWS(backend->run({&input, 1}, {&made, 1}, context));  // 17 MiB and more for 4 MiB
  const std::array<std::int64_t, 2> few = {64, 1024};
  const TensorView small{DType::float32, Shape(few), reinterpret_cast<std::byte*>(x.data())};
  backend->run({&small, 1}, {&made, 1}, context);
  CHECK(payer->stats().blocks_in_use == 1);
  CHECK(payer->stats().bytes_in_use >= 64 * sizeof(float));
  TensorPool& behind = *payer;
  payer.reset();
  backend.reset();
  CHECK(behind.stats().blocks_in_use == 0);  // but for who keeps it alive, which no handle does
  made = {};
}

// 1.22 refuses a second allocator for a device, 1.31 lets it replace the first.
TEST_CASE("an env that refuses the pool is told of") {
  if (library_for_tests() == nullptr) return;
  static const ort::Api& api = library_for_tests()->api();
  ort::Api refusing = api;
  refusing.RegisterAllocator = [](ort::Env*, ort::Allocator*) {
    return api.AddSessionConfigEntry(nullptr, "", "");
  };
  const ort::Memory memory(refusing, nullptr);
  CHECK_FALSE(memory.serves());
  CHECK(says(memory.refusal(), "failed to register an allocator: "));
}

}  // namespace
}  // namespace inferkit
