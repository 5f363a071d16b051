#include "backend/ort_backend.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "backend/backend_conformance.h"
#include "base/error.h"
#include "base/thread_setup.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"

namespace inferkit {
namespace {

std::unique_ptr<Backend> load(const std::string& bytes, OrtOptions options = {}) {
  return make_ort_backend(*library_for_tests(), as_model(bytes), options);
}

template <class T>
TensorView view_of(DType dtype, const std::vector<std::int64_t>& dims, std::vector<T>& values) {
  return {dtype, Shape(dims), reinterpret_cast<std::byte*>(values.data())};
}

float at(const OutputSlot& slot, std::size_t index) {
  float value = 0;
  std::memcpy(&value, slot.view.data + index * sizeof(float), sizeof(float));
  return value;
}

TEST_CASE("onnxruntime conforms, with one session and with two") {
  if (library_for_tests() == nullptr) return;
  const std::string bytes = onnx::affine(4);
  for (const std::uint32_t threads : {1U, 2U}) {
    OrtOptions options;
    options.instances = 2;
    options.threads = threads;
    const auto backend = load(bytes, options);
    BackendConformance(*backend, 4).check_all();
  }
}

TEST_CASE("symbols and open inner dimensions are read") {
  if (library_for_tests() == nullptr) return;
  const auto backend = load(onnx::identity({"n", 3, "length"}));
  const Signature& signature = backend->signature();
  CHECK(signature.inputs[0].symbols == std::vector<std::string>{"n", "", "length"});
  CHECK(to_string(signature.inputs[0].shape) == "[?, 3, ?]");
  REQUIRE(signature.lane_dims.size() == 1);
  CHECK(signature.lane_dims[0].axis == 2);
}

TEST_CASE("a fixed batch and a scalar output are served unbatched, with the reason") {
  if (library_for_tests() == nullptr) return;
  CHECK_FALSE(load(onnx::identity({2, 3}))->signature().batched);
  const auto sum = load(onnx::Graph()
                            .input("x", onnx::kFloat, {"n", 2})
                            .output("total", onnx::kFloat, {})
                            .node("ReduceSum", {"x"}, {"total"}, {{"keepdims", 0}})
                            .model());
  CHECK(sum->signature().reason == "output 'total' is a scalar, or its rank is not declared");
  std::vector<float> x = {1, 2, 3, 4};
  const TensorView input = view_of(DType::float32, {2, 2}, x);
  OutputSlot slot;
  sum->run({&input, 1}, {&slot, 1}, {});
  CHECK(slot.view.shape.rank() == 0);
  CHECK(at(slot, 0) == 10.0F);
  std::vector<float> total = {-1};
  OutputSlot bound{view_of(DType::float32, {}, total), {}};
  sum->run({&input, 1}, {&bound, 1}, {});
  CHECK(total[0] == 10.0F);
  CHECK_FALSE(bound.owner);
}

// ONNX Runtime describes an unknown rank as it describes a scalar.
TEST_CASE("an output of unknown rank is not mistaken for a scalar") {
  if (library_for_tests() == nullptr) return;
  const auto backend = load(onnx::Graph()
                                .input("x", onnx::kFloat, {"n", 2})
                                .input("dims", onnx::kInt64, {"rank"})
                                .shapeless_output("y", onnx::kFloat)
                                .node("Reshape", {"x", "dims"}, {"y"})
                                .model());
  CHECK_FALSE(backend->signature().batched);
  std::vector<float> x = {1, 2, 3, 4};
  std::vector<std::int64_t> dims = {1, 4, 1};
  std::vector<float> scalar = {-1};
  const std::array<TensorView, 2> inputs = {view_of(DType::float32, {2, 2}, x),
                                            view_of(DType::int64, {3}, dims)};
  OutputSlot slot{view_of(DType::float32, {}, scalar), {}};
  backend->run(inputs, {&slot, 1}, {});
  CHECK(to_string(slot.view.shape) == "[1, 4, 1]");
  CHECK(slot.owner);
  CHECK(at(slot, 3) == 4.0F);
  CHECK(scalar[0] == -1.0F);
}

TEST_CASE("several outputs, some bound and one of a shape only the data decides") {
  if (library_for_tests() == nullptr) return;
  const auto backend = load(onnx::Graph()
                                .input("x", onnx::kFloat, {"n"})
                                .output("negated", onnx::kFloat, {"n"})
                                .output("where", onnx::kInt64, {1, "hits"})
                                .node("Neg", {"x"}, {"negated"})
                                .node("NonZero", {"x"}, {"where"})
                                .model());
  std::vector<float> x = {0, 5, 0, 7};
  std::vector<float> negated(4);
  const TensorView input = view_of(DType::float32, {4}, x);
  std::array<OutputSlot, 2> slots;
  slots[0].view = view_of(DType::float32, {4}, negated);
  backend->run({&input, 1}, slots, {});
  CHECK(negated == std::vector<float>{0, -5, 0, -7});
  CHECK_FALSE(slots[0].owner);
  CHECK(slots[1].view.dtype == DType::int64);
  CHECK(to_string(slots[1].view.shape) == "[1, 2]");
  std::array<std::int64_t, 2> where{};
  std::memcpy(where.data(), slots[1].view.data, sizeof(where));
  CHECK(where == std::array<std::int64_t, 2>{1, 3});
}

TEST_CASE("a bad value is the input's fault, quoted, and leaves nothing behind") {
  if (library_for_tests() == nullptr) return;
  const auto backend = load(onnx::gather());
  std::vector<std::int64_t> x = {0, 99};
  const TensorView input = view_of(DType::int64, {2}, x);
  OutputSlot slot;
  try {
    backend->run({&input, 1}, {&slot, 1}, {});
    FAIL("index 99 of 4 was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_input);
    CHECK(error.backend_code() == 2);
    CHECK(error.message().find("99") != std::string::npos);
    CHECK(error.message().find("INVALID_ARGUMENT, code 2") != std::string::npos);
  }
  x[1] = 3;
  backend->run({&input, 1}, {&slot, 1}, {});
  CHECK(at(slot, 1) == 3.0F);
}

TEST_CASE("a result may be released after its backend, on another thread") {
  if (library_for_tests() == nullptr) return;
  OutputSlot slot;
  std::vector<float> x = {3, 4};
  {
    const auto backend = load(onnx::affine(2));
    const TensorView input = view_of(DType::float32, {1, 2}, x);
    backend->run({&input, 1}, {&slot, 1}, {});
  }
  CHECK(at(slot, 1) == 9.0F);
  std::thread([owner = std::move(slot.owner)]() mutable { owner = BlockRef(); }).join();
}

// y = x + x of 1e-41 is denormal: flushed by threads of ours, kept by others.
TEST_CASE("run() neither sets nor loses the caller's floating-point mode") {
  if (library_for_tests() == nullptr) return;
  const auto backend = load(onnx::Graph()
                                .input("x", onnx::kFloat, {"n"})
                                .output("y", onnx::kFloat, {"n"})
                                .node("Add", {"x", "x"}, {"y"})
                                .model());
  std::vector<float> x = {1e-41F};
  const TensorView input = view_of(DType::float32, {1}, x);
  CHECK_FALSE(flushes_denormals());
  OutputSlot kept;
  backend->run({&input, 1}, {&kept, 1}, {0, false});
  CHECK(at(kept, 0) > 0.0F);
  OutputSlot flushed;
  {
    const FlushDenormals guard;
    backend->run({&input, 1}, {&flushed, 1}, {0, false});
    CHECK(flushes_denormals());
  }
  CHECK_FALSE(flushes_denormals());
  std::uint32_t bits = 1;
  std::memcpy(&bits, flushed.view.data, sizeof(bits));
  CHECK(bits == 0);
}

}  // namespace
}  // namespace inferkit
