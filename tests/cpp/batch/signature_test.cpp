#include "batch/signature.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/thrown.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr DType kFloat = DType::float32;

TEST_CASE("signature: batched when the first dimension of every input and output is open") {
  const Signature signature =
      signature_of({spec_of("a", kFloat, {-1, 4}), spec_of("b", DType::int64, {-1})},
                   {spec_of("y", kFloat, {-1, 2})});
  CHECK(signature.batched);
  CHECK(signature.lane_dims.empty());
}

TEST_CASE("signature: the reason against batching names the tensor and what is wrong") {
  const Signature fixed =
      signature_of({spec_of("a", kFloat, {-1, 4})}, {spec_of("y", kFloat, {1, 2})});
  CHECK_FALSE(fixed.batched);
  CHECK(says(fixed.reason, "output", "'y'", "fixed", "1"));
  const Signature scalar = signature_of({spec_of("a", kFloat, {})}, {spec_of("y", kFloat, {-1})});
  CHECK_FALSE(scalar.batched);
  CHECK(says(scalar.reason, "input", "'a'", "scalar"));
  const Signature nothing = signature_of({}, {spec_of("y", kFloat, {-1})});
  CHECK_FALSE(nothing.batched);
  CHECK(says(nothing.reason, "no inputs"));
}

TEST_CASE("signature: the first reason is the one given") {
  const Signature signature =
      signature_of({spec_of("a", kFloat, {3}), spec_of("b", kFloat, {})}, {});
  CHECK(says(signature.reason, "'a'"));
  CHECK_FALSE(says(signature.reason, "'b'"));
}

TEST_CASE("signature: a name that the first dimension shares with another cannot count rows") {
  const auto with_symbols = [](std::vector<std::string> x, std::vector<std::string> y) {
    Signature signature;
    signature.inputs = {spec_of("x", kFloat, {-1, -1})};
    signature.outputs = {spec_of("y", kFloat, {-1, -1})};
    signature.inputs[0].symbols = std::move(x);
    signature.outputs[0].symbols = std::move(y);
    find_batch_axis(signature);
    return signature;
  };
  CHECK(with_symbols({"n", "width"}, {"n", "width"}).batched);
  CHECK(with_symbols({"", ""}, {"", ""}).batched);  // no name is no name in common
  CHECK(with_symbols({"n", ""}, {"", "width"}).batched);
  const Signature square = with_symbols({"n", "width"}, {"n", "n"});
  CHECK_FALSE(square.batched);
  CHECK(says(square.reason, "'x'", "n", "dimension 1", "'y'"));
}

TEST_CASE("signature: lanes are told apart by every open dimension but the batch axis") {
  Signature signature =
      signature_of({spec_of("a", kFloat, {-1, -1, 4, -1}), spec_of("b", kFloat, {-1, 2, -1})},
                   {spec_of("y", kFloat, {-1})});
  REQUIRE(signature.lane_dims.size() == 3);
  CHECK(signature.lane_dims[0].input == 0);
  CHECK(signature.lane_dims[0].axis == 1);
  CHECK(signature.lane_dims[1].axis == 3);
  CHECK(signature.lane_dims[2].input == 1);
  CHECK(signature.lane_dims[2].axis == 2);

  refuse_batching(signature, "because");
  CHECK_FALSE(signature.batched);
  CHECK(signature.reason == "because");
  CHECK(signature.lane_dims.size() == 5);  // one request at a time: axis 0 is one more
}

}  // namespace
