#include "batch/batch_result.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "memory/host_resource.h"
#include "support/thrown.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr DType kFloat = DType::float32;

std::atomic<int> foreign_freed{0};

BlockRef foreign_block() {
  auto block = std::make_unique<Block>();
  block->refs.store(1);
  block->recycle = [](Block* dead) noexcept {
    delete dead;
    foreign_freed.fetch_add(1);
  };
  return BlockRef::adopt(block.release());
}

TEST_CASE("batch_result: known outputs lie in one block, aligned and apart") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  const std::array views = {bare(kFloat, {3, 5}), bare(DType::uint8, {3}),
                            bare(DType::int64, {3, 0}), bare(kFloat, {})};
  const ResultRef result = ResultRef::adopt(BatchResult::create(*pool, views));
  CHECK(pool->stats().blocks_in_use == 1);
  REQUIRE(result->outputs().size() == 4);
  std::byte mark{1};
  for (OutputSlot& slot : result->outputs()) {
    REQUIRE(slot.view.data != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(slot.view.data) % 64 == 0);
    const std::size_t bytes = checked_bytes(slot.view.dtype, slot.view.shape.dims()).value();
    std::memset(slot.view.data, std::to_integer<int>(mark), bytes);
    mark = static_cast<std::byte>(std::to_integer<int>(mark) + 1);
  }
  // Nobody wrote over anybody.
  CHECK(read<std::byte>(result->outputs()[0].view) == std::vector<std::byte>(60, std::byte{1}));
  CHECK(read<std::byte>(result->outputs()[1].view) == std::vector<std::byte>(3, std::byte{2}));
  CHECK(read<std::byte>(result->outputs()[3].view) == std::vector<std::byte>(4, std::byte{4}));
}

TEST_CASE("batch_result: an open output is left to the backend, and its memory freed with us") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  foreign_freed = 0;
  {
    const std::array views = {bare(kFloat, {-1, 5}), bare(kFloat, {2})};
    ResultRef result = ResultRef::adopt(BatchResult::create(*pool, views));
    CHECK(result->outputs()[0].view.data == nullptr);
    CHECK(result->outputs()[1].view.data != nullptr);
    result->outputs()[0].owner = foreign_block();
    const ResultRef copy = result;
    result = {};
    CHECK(foreign_freed == 0);
    CHECK(pool->stats().blocks_in_use == 1);
  }
  CHECK(foreign_freed == 1);
  CHECK(pool->stats().blocks_in_use == 0);
}

TEST_CASE("batch_result: handles move, copy and detach without losing count") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  ResultRef first = ResultRef::adopt(BatchResult::create(*pool, {}));
  ResultRef second = first;
  ResultRef third = std::move(first);
  CHECK_FALSE(first);  // NOLINT: moved from on purpose
  BatchResult* bare_result = third.detach();
  CHECK_FALSE(third);
  second = ResultRef();
  CHECK(pool->stats().blocks_in_use == 1);
  bare_result->release();
  CHECK(pool->stats().blocks_in_use == 0);
}

TEST_CASE("batch_result: the last of many threads frees it, once") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  foreign_freed = 0;
  constexpr int kRounds = 500;
  for (int round = 0; round < kRounds; ++round) {
    const std::array views = {bare(kFloat, {-1})};
    ResultRef result = ResultRef::adopt(BatchResult::create(*pool, views));
    result->outputs()[0].owner = foreign_block();
    std::thread other([copy = result] { CHECK(copy->outputs().size() == 1); });
    result = {};
    other.join();
  }
  CHECK(foreign_freed == kRounds);
  CHECK(pool->stats().blocks_in_use == 0);
}

TEST_CASE("batch_result: a full pool is an error and nothing is kept") {
  const PoolRef pool = TensorPool::create(host_resource(), 64 << 10);
  const std::array views = {bare(kFloat, {1'000'000})};
  const auto error = thrown([&] { static_cast<void>(BatchResult::create(*pool, views)); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::out_of_memory);
  CHECK(pool->stats().blocks_in_use == 0);
}

}  // namespace
