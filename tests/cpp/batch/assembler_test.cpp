#include "batch/assembler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "memory/host_resource.h"
#include "support/thrown.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr DType kFloat = DType::float32;

Signature mixed_inputs() {
  return signature_of({spec_of("a", kFloat, {-1, -1}), spec_of("b", DType::uint8, {-1, 3}),
                       spec_of("c", DType::int64, {-1})},
                      {spec_of("y", kFloat, {-1, 2})});
}

// One request's inputs, with bytes nobody else has.
struct Traveller {
  std::uint32_t rows;
  std::int64_t width;
  std::vector<std::vector<std::byte>> bytes;
  BlockRef block;

  Traveller(TensorPool& pool, const Signature& signature, std::uint32_t r, std::int64_t w,
            std::mt19937& random)
      : rows(r), width(w) {
    std::vector<TensorView> inputs;
    for (const TensorSpec& spec : signature.inputs) {
      Shape shape = spec.shape;
      shape[0] = rows;
      if (shape.rank() > 1 && shape[1] < 0) shape[1] = width;
      std::vector<std::byte>& mine =
          bytes.emplace_back(checked_bytes(spec.dtype, shape.dims()).value());
      for (std::byte& byte : mine) byte = static_cast<std::byte>(random() % 256);
      inputs.push_back({spec.dtype, shape, mine.data()});
    }
    block = pool.allocate(check_inputs(signature, inputs).bytes);
    write_payload(signature, inputs, block.data());
  }
};

std::vector<Rider> riders_of(std::vector<Traveller>& travellers) {
  std::vector<Rider> riders;
  for (Traveller& t : travellers) riders.push_back({t.block.data(), t.rows});
  return riders;
}

std::vector<std::byte> bytes_of(const TensorView& view) { return read<std::byte>(view); }

TEST_CASE("gather: a batch of one is bound where its snapshot lies") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature = mixed_inputs();
  std::mt19937 random(1);
  std::vector<Traveller> travellers;
  travellers.emplace_back(*pool, signature, 2, 5, random);
  std::vector<TensorView> inputs(9);  // left over from another batch
  const BlockRef block = gather(signature, riders_of(travellers), *pool, inputs);
  CHECK_FALSE(block);
  REQUIRE(inputs.size() == 3);
  CHECK(inputs[0].data == Payload(signature, travellers[0].block.data()).data(0));
  CHECK(inputs[0].shape == shape_of({2, 5}));
  for (std::size_t i = 0; i < 3; ++i) CHECK(bytes_of(inputs[i]) == travellers[0].bytes[i]);
}

TEST_CASE("gather: many side by side equal their concatenation, input by input") {
  const PoolRef pool = TensorPool::create(host_resource(), 4 << 20);
  const Signature signature = mixed_inputs();
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    const auto width = static_cast<std::int64_t>(random() % 40);
    std::vector<Traveller> travellers;
    const std::size_t count = 2 + random() % 6;
    std::uint32_t rows = 0;
    for (std::size_t i = 0; i < count; ++i) {
      travellers.emplace_back(*pool, signature, random() % 5, width, random);  // 0 rows too
      rows += travellers.back().rows;
    }
    if (rows == 0) continue;
    std::vector<TensorView> inputs;
    const BlockRef block = gather(signature, riders_of(travellers), *pool, inputs);
    REQUIRE(block);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      std::vector<std::byte> expected;
      for (const Traveller& t : travellers) {
        expected.insert(expected.end(), t.bytes[i].begin(), t.bytes[i].end());
      }
      REQUIRE(inputs[i].shape[0] == rows);
      REQUIRE(bytes_of(inputs[i]) == expected);
      REQUIRE(reinterpret_cast<std::uintptr_t>(inputs[i].data) % Payload::kAlignment == 0);
      const auto offset = static_cast<std::size_t>(inputs[i].data - block.data());
      REQUIRE(offset + expected.size() <= block.size_bytes());
    }
  }
}

TEST_CASE("gather: a batch without rows gets one row of zeros") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature = mixed_inputs();
  std::mt19937 random(3);
  for (const std::size_t count : {std::size_t{1}, std::size_t{3}}) {
    std::vector<Traveller> travellers;
    for (std::size_t i = 0; i < count; ++i) {
      travellers.emplace_back(*pool, signature, 0, 5, random);
    }
    std::vector<TensorView> inputs;
    const BlockRef block = gather(signature, riders_of(travellers), *pool, inputs);
    REQUIRE(inputs.size() == 3);
    CHECK(inputs[0].shape == shape_of({1, 5}));
    CHECK(inputs[1].shape == shape_of({1, 3}));
    for (const TensorView& input : inputs) {
      const std::vector<std::byte> bytes = bytes_of(input);
      CHECK_FALSE(bytes.empty());
      // The pool fills its blocks with something else in this build.
      CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) ==
            static_cast<std::ptrdiff_t>(bytes.size()));
    }
  }
}

TEST_CASE("gather: a full pool is an error, not a short batch") {
  const Signature signature = mixed_inputs();
  const PoolRef pool = TensorPool::create(host_resource(), 64 << 10);
  std::mt19937 random(4);
  std::vector<Traveller> travellers;
  for (int i = 0; i < 4; ++i) travellers.emplace_back(*pool, signature, 1, 2'000, random);
  std::vector<TensorView> inputs;
  const auto error =
      thrown([&] { static_cast<void>(gather(signature, riders_of(travellers), *pool, inputs)); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::out_of_memory);
}

TEST_CASE("plan_outputs: shapes are promised only when they were proven") {
  const Signature signature =
      signature_of({spec_of("x", kFloat, {-1})},
                   {spec_of("y", kFloat, {-1, 2}), spec_of("z", kFloat, {-1, -1})});
  std::vector<TensorView> outputs(7);
  plan_outputs(signature, 5, true, outputs);
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].shape == shape_of({5, 2}));
  CHECK(outputs[1].shape == shape_of({5, -1}));
  plan_outputs(signature, 5, false, outputs);
  CHECK(outputs[0].shape == shape_of({-1, 2}));
  plan_outputs(signature, 0, true, outputs);
  CHECK(outputs[0].shape == shape_of({1, 2}));  // the row of zeros that stands in
  for (const TensorView& output : outputs) CHECK(output.data == nullptr);
}

TEST_CASE("plan_outputs: unbatched, the declared shape stands once it was proven") {
  const Signature signature = signature_of(
      {spec_of("x", kFloat, {1, 4})}, {spec_of("y", kFloat, {2, 3}), spec_of("s", kFloat, {})});
  std::vector<TensorView> outputs;
  plan_outputs(signature, 1, true, outputs);
  CHECK(outputs[0].shape == shape_of({2, 3}));
  CHECK(outputs[1].shape.rank() == 0);
  plan_outputs(signature, 1, false, outputs);
  CHECK(outputs[0].shape == shape_of({-1, 3}));
}

}  // namespace
