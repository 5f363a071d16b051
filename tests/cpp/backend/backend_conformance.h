// What every backend must do, whoever computes.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace inferkit {

// One row-wise model: x float32 [n, width] -> y float32 [n, width], y = 2 x + 1, two instances.
class BackendConformance {
 public:
  BackendConformance(Backend& backend, std::int64_t width) : backend_(backend), width_(width) {}

  void check_all() {
    check_signature();
    for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, std::int64_t{7}}) {
      check_bound(rows, {0, true});
      check_unbound(rows, {0, true});
    }
    check_bound(3, {1, false});
    check_result_outlives_the_next_run();
    check_error_then_success();
    check_instances_side_by_side();
    check_alone_session_dropped();
  }

 private:
  std::vector<float> feed(std::int64_t rows, float first) const {
    std::vector<float> values(static_cast<std::size_t>(rows * width_));
    for (float& value : values) value = first++;
    return values;
  }
  static TensorView view(std::vector<float>& values, std::int64_t rows, std::int64_t width) {
    const std::array<std::int64_t, 2> dims = {rows, width};
    return {DType::float32, Shape(dims), reinterpret_cast<std::byte*>(values.data())};
  }
  static void check_affine(const std::vector<float>& x, const std::byte* y) {
    std::vector<float> got(x.size());
    if (!got.empty()) std::memcpy(got.data(), y, got.size() * sizeof(float));
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(got[i] == 2.0F * x[i] + 1.0F);
  }

  void check_signature() const {
    const Signature& signature = backend_.signature();
    REQUIRE(signature.inputs.size() == 1);
    REQUIRE(signature.outputs.size() == 1);
    for (const TensorSpec& spec : {signature.inputs[0], signature.outputs[0]}) {
      CHECK(spec.dtype == DType::float32);
      REQUIRE(spec.shape.rank() == 2);
      CHECK(spec.symbols.size() == 2);
      CHECK(spec.shape[0] == -1);
      CHECK(spec.shape[1] == width_);
    }
    CHECK(signature.inputs[0].name == "x");
    CHECK(signature.outputs[0].name == "y");
    CHECK(signature.batched);
    CHECK(signature.lane_dims.empty());
    CHECK_FALSE(backend_.notes().empty());
  }

  // A slot with data is filled in place and left to its owner.
  void check_bound(std::int64_t rows, RunContext context) {
    std::vector<float> x = feed(rows, 1.0F);
    std::vector<float> y(x.size() + 1, -1.0F);  // one more, so that data is never null
    const TensorView input = view(x, rows, width_);
    OutputSlot slot{view(y, rows, width_), {}};
    const std::byte* const where = slot.view.data;
    backend_.run({&input, 1}, {&slot, 1}, context);
    CHECK(slot.view.data == where);
    CHECK_FALSE(slot.owner);
    CHECK(y.back() == -1.0F);
    check_affine(x, where);
  }

  // A slot without data comes back with a shape, data, and an owner that keeps them.
  void check_unbound(std::int64_t rows, RunContext context) {
    std::vector<float> x = feed(rows, 5.0F);
    const TensorView input = view(x, rows, width_);
    OutputSlot slot;
    backend_.run({&input, 1}, {&slot, 1}, context);
    CHECK(slot.view.dtype == DType::float32);
    const std::array<std::int64_t, 2> dims = {rows, width_};
    CHECK(slot.view.shape == Shape(dims));
    REQUIRE(slot.owner);
    CHECK(slot.owner.size_bytes() >= x.size() * sizeof(float));
    check_affine(x, slot.view.data);
  }

  void check_result_outlives_the_next_run() {
    std::vector<float> first = feed(4, 1.0F);
    std::vector<float> second = feed(4, 100.0F);
    OutputSlot kept;
    OutputSlot later;
    const TensorView a = view(first, 4, width_);
    const TensorView b = view(second, 4, width_);
    backend_.run({&a, 1}, {&kept, 1}, {});
    backend_.run({&b, 1}, {&later, 1}, {});
    check_affine(first, kept.view.data);
    check_affine(second, later.view.data);
  }

  // A run that fails says so in our words and does not hurt the next one.
  void check_error_then_success() {
    std::vector<float> x = feed(3, 1.0F);
    const std::array<std::int64_t, 2> wrong = {1, width_ + 1};
    TensorView input = view(x, 3, width_);
    input.shape = Shape(wrong);
    OutputSlot slot;
    try {
      backend_.run({&input, 1}, {&slot, 1}, {});
      FAIL("a wrong dimension was accepted");
    } catch (const Error& error) {
      CHECK((error.code() == ErrorCode::invalid_input || error.code() == ErrorCode::backend));
      CHECK(error.backend_code() != 0);
      CHECK_FALSE(error.message().empty());
    }
    CHECK_FALSE(slot.owner);
    check_bound(3, {});
  }

  void check_instances_side_by_side() {
    constexpr int kRuns = 50;
    std::array<std::vector<float>, 2> answers;
    std::array<std::vector<float>, 2> feeds = {feed(2, 1.0F), feed(2, 50.0F)};
    const auto serve = [&](std::uint32_t instance) {
      answers[instance].resize(feeds[instance].size());
      const TensorView input = view(feeds[instance], 2, width_);
      for (int i = 0; i < kRuns; ++i) {
        OutputSlot slot{view(answers[instance], 2, width_), {}};
        backend_.run({&input, 1}, {&slot, 1}, {instance, false});
      }
    };
    std::thread other(serve, 1U);
    serve(0U);
    other.join();
    for (std::size_t i = 0; i < 2; ++i) {
      check_affine(feeds[i], reinterpret_cast<const std::byte*>(answers[i].data()));
    }
  }

  void check_alone_session_dropped() {
    backend_.keep_alone_session(true);
    check_bound(2, {0, true});
    backend_.keep_alone_session(false);
    check_bound(2, {0, true});
    check_bound(2, {0, false});
  }

  Backend& backend_;
  std::int64_t width_;
};

}  // namespace inferkit
