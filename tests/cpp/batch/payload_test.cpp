#include "batch/payload.h"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "batch/lane_dims.h"
#include "memory/host_resource.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr DType kFloat = DType::float32;

// The block that a request would travel in.
BlockRef pack(TensorPool& pool, const Signature& signature, const std::vector<TensorView>& inputs) {
  BlockRef block = pool.allocate(check_inputs(signature, inputs).bytes);
  write_payload(signature, inputs, block.data());
  return block;
}

TEST_CASE("payload: what goes in comes out, bytes, shape and alignment") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature =
      signature_of({spec_of("a", kFloat, {-1, 2}), spec_of("b", DType::uint8, {-1, -1}),
                    spec_of("c", DType::int64, {-1})},
                   {spec_of("y", kFloat, {-1})});
  Values<float> a(kFloat, {3, 2}, {1, 2, 3, 4, 5, 6});
  Values<std::uint8_t> b(DType::uint8, {3, 1}, {7, 8, 9});
  Values<std::int64_t> c(DType::int64, {3}, {-1, 0, 1});
  const BlockRef block = pack(*pool, signature, {a.view(), b.view(), c.view()});
  const Payload payload(signature, block.data());

  CHECK(read<float>(payload.input(0, 3)) == a.values());
  CHECK(read<std::uint8_t>(payload.input(1, 3)) == b.values());
  CHECK(read<std::int64_t>(payload.input(2, 3)) == c.values());
  CHECK(payload.input(1, 3).shape == shape_of({3, 1}));
  CHECK(payload.input(1, 3).dtype == DType::uint8);
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(reinterpret_cast<std::uintptr_t>(payload.data(i)) % Payload::kAlignment == 0);
  }
}

TEST_CASE("payload: rows from the middle on, for a request that runs in parts") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature =
      signature_of({spec_of("a", kFloat, {-1, 2}), spec_of("b", DType::uint8, {-1, -1})},
                   {spec_of("y", kFloat, {-1})});
  Values<float> a(kFloat, {3, 2}, {1, 2, 3, 4, 5, 6});
  Values<std::uint8_t> b(DType::uint8, {3, 1}, {7, 8, 9});
  const BlockRef block = pack(*pool, signature, {a.view(), b.view()});
  const Payload payload(signature, block.data());
  CHECK(read<float>(payload.input(0, 1, 1)) == std::vector<float>{3, 4});
  CHECK(read<std::uint8_t>(payload.input(1, 2, 1)) == std::vector<std::uint8_t>{8, 9});
  CHECK(payload.input(1, 2, 1).shape == shape_of({2, 1}));
}

TEST_CASE("payload: it is a snapshot") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature =
      signature_of({spec_of("a", kFloat, {-1})}, {spec_of("y", kFloat, {-1})});
  std::vector<float> mine = {1, 2};
  const TensorView view{kFloat, shape_of({2}), reinterpret_cast<std::byte*>(mine.data())};
  const BlockRef block = pack(*pool, signature, {view});
  mine = {8, 9};
  CHECK(read<float>(Payload(signature, block.data()).input(0, 2)) == std::vector<float>{1, 2});
}

TEST_CASE("payload: more open dimensions than lie in line") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature = signature_of(
      {spec_of("a", kFloat, {-1, -1, -1, -1, -1}), spec_of("b", kFloat, {-1, -1, -1, -1, -1})},
      {spec_of("y", kFloat, {-1})});
  REQUIRE(signature.lane_dims.size() > LaneDims::kInline);
  Values<float> a(kFloat, {1, 2, 1, 1, 2}, {1, 2, 3, 4});
  Values<float> b(kFloat, {1, 1, 3, 1, 1}, {5, 6, 7});
  const std::vector<TensorView> inputs = {a.view(), b.view()};
  const BlockRef block = pack(*pool, signature, inputs);
  const Payload payload(signature, block.data());
  CHECK(payload.input(0, 1).shape == a.view().shape);
  CHECK(payload.input(1, 1).shape == b.view().shape);
  CHECK(read<float>(payload.input(1, 1)) == b.values());

  LaneDims dims;
  REQUIRE(dims.assign(signature, inputs));
  const std::vector<std::int64_t> expected = {2, 1, 1, 2, 1, 3, 1, 1};
  CHECK(std::vector<std::int64_t>(dims.view().begin(), dims.view().end()) == expected);
  CHECK(std::vector<std::int64_t>(payload.lane_dims().begin(), payload.lane_dims().end()) ==
        expected);
  REQUIRE(dims.assign(signature, std::array{b.view(), a.view()}));  // a record is used again
  CHECK(dims.view()[1] == 3);
  CHECK(dims.view()[4] == 2);
}

TEST_CASE("payload: no rows and no bytes") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature =
      signature_of({spec_of("a", kFloat, {-1, 4})}, {spec_of("y", kFloat, {-1})});
  const BlockRef block = pack(*pool, signature, {bare(kFloat, {0, 4})});  // not read: data is null
  CHECK(Payload(signature, block.data()).input(0, 0).shape == shape_of({0, 4}));
}

TEST_CASE("payload: a model served unbatched keeps every dimension") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const Signature signature = signature_of(
      {spec_of("a", kFloat, {-1, 2}), spec_of("s", DType::int64, {})}, {spec_of("y", kFloat, {})});
  REQUIRE_FALSE(signature.batched);
  Values<float> a(kFloat, {3, 2}, {1, 2, 3, 4, 5, 6});
  Values<std::int64_t> s(DType::int64, {}, {42});
  const BlockRef block = pack(*pool, signature, {a.view(), s.view()});
  const Payload payload(signature, block.data());
  CHECK(payload.input(0, 1).shape == shape_of({3, 2}));
  CHECK(read<float>(payload.input(0, 1)) == a.values());
  CHECK(payload.input(1, 1).shape.rank() == 0);
  CHECK(read<std::int64_t>(payload.input(1, 1)) == s.values());
}

}  // namespace
