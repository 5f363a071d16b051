#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "batch/payload.h"
#include "support/thrown.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr DType kFloat = DType::float32;
constexpr std::int64_t kHuge = std::int64_t{1} << 60;

Signature two_inputs() {
  Signature signature =
      signature_of({spec_of("image", kFloat, {-1, 3, -1}), spec_of("weight", DType::int64, {-1})},
                   {spec_of("y", kFloat, {-1})});
  signature.inputs[0].symbols[2] = "width";
  return signature;
}

// The text of the refusal; the code is checked here, once.
std::string refusal(const Signature& signature, const std::vector<TensorView>& inputs) {
  const std::optional<Error> error =
      thrown([&] { static_cast<void>(check_inputs(signature, inputs)); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::invalid_input);
  return error->message();
}

TEST_CASE("check_inputs: what fits is counted") {
  const Signature signature = two_inputs();
  const std::array inputs = {bare(kFloat, {5, 3, 7}), bare(DType::int64, {5})};
  const PayloadPlan plan = check_inputs(signature, inputs);
  CHECK(plan.rows == 5);
  CHECK(plan.bytes >= 5 * 3 * 7 * 4 + 5 * 8);
  CHECK(plan.bytes % Payload::kAlignment == 0);
}

TEST_CASE("check_inputs: no rows are fine") {
  const Signature signature = two_inputs();
  const std::array inputs = {bare(kFloat, {0, 3, 7}), bare(DType::int64, {0})};
  const PayloadPlan none = check_inputs(signature, inputs);
  CHECK(none.rows == 0);
  // They run as one row of zeros, and pay for it.
  const std::array one = {bare(kFloat, {1, 3, 7}), bare(DType::int64, {1})};
  CHECK(none.bytes == check_inputs(signature, one).bytes);
  CHECK(says(refusal(signature, {bare(kFloat, {0, 3, kHuge}), bare(DType::int64, {0})}),
             "too many bytes"));
}

TEST_CASE("check_inputs: a wrong number of inputs names both numbers") {
  CHECK(says(refusal(two_inputs(), {bare(kFloat, {1, 3, 7})}), "expected 2 inputs", "got 1"));
}

TEST_CASE("check_inputs: a wrong dtype names input, expected and actual") {
  const std::string text =
      refusal(two_inputs(), {bare(DType::float64, {1, 3, 7}), bare(DType::int64, {1})});
  CHECK(
      says(text, "'image'", "expected float32 [rows, 3, width]", "got float64 [1, 3, 7]", "dtype"));
}

TEST_CASE("check_inputs: a row without its batch axis is told about x[None]") {
  const std::string text = refusal(two_inputs(), {bare(kFloat, {3, 7}), bare(DType::int64, {1})});
  CHECK(says(text, "'image'", "expected float32 [rows, 3, width]", "got float32 [3, 7]", "rank",
             "x[None]"));
}

TEST_CASE("check_inputs: another wrong rank is not") {
  const std::string text =
      refusal(two_inputs(), {bare(kFloat, {1, 1, 3, 7}), bare(DType::int64, {1})});
  CHECK(says(text, "'image'", "expected float32 [rows, 3, width]", "got float32 [1, 1, 3, 7]",
             "rank"));
  CHECK_FALSE(says(text, "None"));
}

TEST_CASE("check_inputs: a wrong inner dimension is named by its axis") {
  const std::string text =
      refusal(two_inputs(), {bare(kFloat, {2, 4, 7}), bare(DType::int64, {2})});
  CHECK(says(text, "'image'", "expected float32 [rows, 3, width]", "got float32 [2, 4, 7]",
             "dimension 1"));
}

TEST_CASE("check_inputs: unequal rows name both inputs and both numbers") {
  const std::string text =
      refusal(two_inputs(), {bare(kFloat, {2, 3, 7}), bare(DType::int64, {3})});
  CHECK(says(text, "'weight'", "expected 2 rows", "'image'", "got 3"));
}

TEST_CASE("check_inputs: rows without end name the limit") {
  constexpr std::int64_t kMany = kMaxRequestRows + 1;
  const std::string text =
      refusal(two_inputs(), {bare(kFloat, {kMany, 3, 0}), bare(DType::int64, {kMany})});
  CHECK(says(text, "'image'", "at most 1048576 rows in one request", "got 1048577"));
}

TEST_CASE("check_inputs: arrays that nobody could hold are refused by arithmetic alone") {
  const Signature signature = two_inputs();
  for (const TensorView& image : {bare(kFloat, {1, 3, kHuge}), bare(kFloat, {kHuge, 3, 1}),
                                  bare(kFloat, {kHuge, 3, kHuge})}) {
    const std::string text = refusal(signature, {image, bare(DType::int64, {image.shape[0]})});
    CHECK(says(text, "'image'", "expected float32 [rows, 3, width]", "got float32",
               to_string(image.shape), "too many bytes"));
  }
  const std::string small_items =
      refusal(signature_of({spec_of("x", DType::uint8, {-1, -1})}, {spec_of("y", kFloat, {-1})}),
              {bare(DType::uint8, {1, kHuge})});
  CHECK(says(small_items, "'x'", "too many bytes"));
}

TEST_CASE("check_inputs: the sum of many large inputs does not wrap") {
  std::vector<TensorSpec> specs;
  std::vector<TensorView> inputs;
  for (int i = 0; i < 1'000; ++i) {
    specs.push_back(spec_of("x", DType::uint8, {-1, -1}));
    inputs.push_back(bare(DType::uint8, {1, std::int64_t{1} << 47}));
  }
  const Signature signature = signature_of(std::move(specs), {spec_of("y", kFloat, {-1})});
  CHECK(check_inputs(signature, inputs).bytes > 1'000ULL << 47);
}

TEST_CASE("check_inputs: without batching axis 0 is a dimension like any other") {
  const Signature signature = signature_of(
      {spec_of("x", kFloat, {2, -1}), spec_of("s", kFloat, {})}, {spec_of("y", kFloat, {2})});
  REQUIRE_FALSE(signature.batched);
  const std::array fits = {bare(kFloat, {2, 1'000}), bare(kFloat, {})};
  CHECK(check_inputs(signature, fits).rows == 1);
  const std::string text = refusal(signature, {bare(kFloat, {3, 5}), bare(kFloat, {})});
  CHECK(says(text, "'x'", "expected float32 [2, ?]", "got float32 [3, 5]", "dimension 0"));
  CHECK(says(refusal(signature, {bare(kFloat, {2, 5}), bare(kFloat, {1})}), "'s'",
             "expected float32 []", "got float32 [1]", "rank"));
}

TEST_CASE("check_inputs: without batching an open axis 0 is not said to count rows") {
  const Signature signature =
      signature_of({spec_of("x", kFloat, {-1, 2})}, {spec_of("y", kFloat, {})});
  REQUIRE_FALSE(signature.batched);
  CHECK(says(refusal(signature, {bare(kFloat, {3, 5})}), "'x'", "expected float32 [?, 2]"));
}

TEST_CASE("check_inputs: requests that may not share a batch have different lane hashes") {
  const Signature signature =
      signature_of({spec_of("x", kFloat, {-1, -1, -1})}, {spec_of("y", kFloat, {-1})});
  const auto hash = [&](std::int64_t rows, std::int64_t a, std::int64_t b) {
    const std::array input = {bare(kFloat, {rows, a, b})};
    return check_inputs(signature, input).lane_hash;
  };
  CHECK(hash(1, 2, 3) == hash(9, 2, 3));
  CHECK(hash(1, 2, 3) != hash(1, 3, 2));
  CHECK(hash(1, 2, 3) != hash(1, 2, 4));
}

}  // namespace
