#include "batch/latency_table.h"

#include <doctest/doctest.h>

#include <functional>

using namespace inferkit;

namespace {

// Measured at each power of two up to `most`.
LatencyTable measured(std::uint32_t most, const std::function<DurationNs(std::uint32_t)>& time) {
  LatencyTable table;
  for (std::uint32_t rows = 1; rows <= most; rows *= 2) table.record(rows, time(rows));
  return table;
}

TEST_CASE("latency_table: knows nothing at first") {
  const LatencyTable table;
  CHECK_FALSE(table.measured());
  CHECK(table.mean(1) == 0);
  CHECK(table.p99(1'000'000) == 0);
  CHECK(table.fixed_cost() == 0);
  CHECK(table.cheapest_rows(64) == 64);
}

TEST_CASE("latency_table: between measured sizes the straight line") {
  LatencyTable table;
  table.record(1, 1'000);
  table.record(9, 9'000);
  CHECK(table.mean(1) == 1'000);
  CHECK(table.mean(5) == 5'000);
  CHECK(table.mean(9) == 9'000);
  CHECK(table.mean(0) == 1'000);  // a batch without rows runs one
}

TEST_CASE("latency_table: above the largest in proportion, below the smallest as the smallest") {
  LatencyTable table;
  table.record(8, 800);
  CHECK(table.mean(16) == 1'600);
  CHECK(table.mean(1'000) == 100'000);
  CHECK(table.mean(1) == 800);
}

TEST_CASE("latency_table: the largest sizes share the last bucket and do not fall out") {
  LatencyTable table;
  table.record(1U << 20, 1'000);
  table.record(0xffff'ffff, 3'000);
  CHECK(table.measured());
  CHECK(table.mean(1) > 0);
}

TEST_CASE("latency_table: few samples count alike") {
  LatencyTable table;
  table.record(4, 100);
  table.record(4, 300);
  CHECK(table.mean(4) == 200);
}

TEST_CASE("latency_table: old samples fade") {
  LatencyTable table;
  for (int i = 0; i < 1'000; ++i) table.record(4, 100'000);
  for (int i = 0; i < 10; ++i) table.record(4, 500'000);
  const DurationNs partly = table.mean(4);
  CHECK(partly > 200'000);
  CHECK(partly < 400'000);
  for (int i = 0; i < 100; ++i) table.record(4, 500'000);
  CHECK(table.mean(4) > 499'000);
}

TEST_CASE("latency_table: the bound is twice the mean until the spread is known") {
  LatencyTable table;
  for (int i = 0; i < 7; ++i) table.record(2, 1'000);
  CHECK(table.p99(2) == 2'000);
  table.record(2, 1'000);
  CHECK(table.p99(2) == 1'000);    // eight alike: no spread
  CHECK(table.p99(64) == 64'000);  // never measured: twice what is expected of it
}

TEST_CASE("latency_table: the bound widens with the spread") {
  LatencyTable table;
  for (int i = 0; i < 200; ++i) table.record(2, i % 2 == 0 ? 900 : 1'100);
  CHECK(table.p99(2) > 1'300);
  CHECK(table.p99(2) < 1'500);
}

TEST_CASE("latency_table: the fixed cost is what one row costs less a row") {
  CHECK(measured(64, [](std::uint32_t rows) { return 1'000 + 10 * rows; }).fixed_cost() == 1'000);
  CHECK(measured(64, [](std::uint32_t rows) { return 500 * rows; }).fixed_cost() == 0);
  CHECK(measured(64, [](std::uint32_t rows) { return rows * rows; }).fixed_cost() == 0);
  CHECK(measured(1, [](std::uint32_t) { return 1'000; }).fixed_cost() ==
        0);  // one size says nothing
}

TEST_CASE("latency_table: where rows get cheaper all the way, as many as allowed") {
  const LatencyTable mlp = measured(64, [](std::uint32_t rows) { return 100'000 + 5'000 * rows; });
  CHECK(mlp.cheapest_rows(64) == 64);
  CHECK(mlp.cheapest_rows(1024) == 512);  // still falling at the largest measured
  CHECK(mlp.cheapest_rows(7) == 7);
}

TEST_CASE("latency_table: a convolution on a CPU: every row costs the same, so one at a time") {
  const LatencyTable conv = measured(64, [](std::uint32_t rows) { return 2'000'000 * rows; });
  CHECK(conv.cheapest_rows(64) == 1);
  const LatencyTable worse =
      measured(64, [](std::uint32_t rows) { return 1'000'000 * rows * (rows == 1 ? 2 : 3); });
  CHECK(worse.cheapest_rows(64) == 1);
  // A few per cent are noise and not worth a later answer.
  const LatencyTable noisy =
      measured(64, [](std::uint32_t rows) { return (rows == 1 ? 1'000'000 : 970'000) * rows; });
  CHECK(noisy.cheapest_rows(64) == 1);
}

TEST_CASE("latency_table: a run as short as its hand-out is batched for the hand-out's sake") {
  const LatencyTable tiny = measured(64, [](std::uint32_t rows) { return 1'000 * rows; });
  CHECK(tiny.cheapest_rows(64) == 64);
}

TEST_CASE("latency_table: of sizes that cost next to the same, the smallest") {
  const LatencyTable flat = measured(64, [](std::uint32_t rows) {
    return rows == 64 ? 386'000 * 64 : rows == 32 ? 393'000 * 32 : 200'000 * (rows + 20);
  });
  CHECK(flat.cheapest_rows(64) == 32);
  const LatencyTable blocks = measured(64, [](std::uint32_t rows) {  // 4 % are no noise
    return rows <= 8 ? 600'000 * rows : rows <= 16 ? 470'000 * rows : 450'000 * rows;
  });
  CHECK(blocks.cheapest_rows(64) == 32);
}

TEST_CASE("latency_table: of short batches that cost next to the same, the largest") {
  LatencyTable noisy = measured(64, [](std::uint32_t rows) { return 300'000 + 20'000 * rows; });
  noisy.record(12, 12 * 25'000);  // 12 rows were lucky: as cheap per row as 64
  CHECK(noisy.cheapest_rows(64) == 64);
}

TEST_CASE("latency_table: the bottom of a valley") {
  const LatencyTable cache = measured(
      64, [](std::uint32_t rows) { return rows <= 8 ? 800'000 + 100'000 * rows : 400'000 * rows; });
  CHECK(cache.cheapest_rows(64) == 8);
  CHECK(cache.cheapest_rows(4) == 4);
}

TEST_CASE("latency_table: one measured size is no comparison") {
  LatencyTable table;
  table.record(1, 2'000'000);
  CHECK(table.cheapest_rows(64) == 64);
}

TEST_CASE("latency_table: one run far above the others is an accident, two are the model") {
  LatencyTable table;
  for (int run = 0; run < 16; ++run) table.record(1, 10 * kMicrosecond);
  table.record(1, kSecond);
  CHECK(table.mean(1) < 15 * kMicrosecond);
  table.record(1, 10 * kMicrosecond);
  table.record(1, kSecond);
  CHECK(table.mean(1) < 20 * kMicrosecond);
  table.record(1, kSecond);
  CHECK(table.mean(1) > 50 * kMillisecond);
  CHECK(table.p99(1) > kSecond / 10);
}

TEST_CASE("latency_table: sizes between powers of two are told apart") {
  LatencyTable table;
  table.record(8, 800);
  table.record(12, 600);
  table.record(16, 1'600);
  CHECK(table.mean(8) == 800);
  CHECK(table.mean(12) == 600);
  CHECK(table.mean(16) == 1'600);
  table.record(9, 800);  // of the bucket up to 12
  CHECK(table.mean(16) == 1'600);
  CHECK(table.mean(8) == 800);
}

TEST_CASE("latency_table: the smallest size of a range that costs next to nothing more") {
  LatencyTable blocks;  // a kernel that takes 12 rows at a time
  for (const std::uint32_t rows : {1, 2, 4, 8, 12, 16, 24, 32, 48}) {
    blocks.record(rows, kMillisecond * ((rows + 11) / 12));
  }
  CHECK(blocks.smallest_good_rows(10, 32) == 12);
  CHECK(blocks.smallest_good_rows(13, 32) == 24);
  CHECK(blocks.smallest_good_rows(25, 32) == 32);  // nothing measured in between
  CHECK(blocks.smallest_good_rows(2, 8) == 8);
  CHECK(blocks.smallest_good_rows(40, 60) == 48);
  CHECK(LatencyTable().smallest_good_rows(3, 7) == 7);
}

TEST_CASE("latency_table: the largest size that usually fits a time") {
  LatencyTable table;
  for (const std::uint32_t rows : {1, 8, 16, 32}) {
    for (int i = 0; i < 8; ++i) table.record(rows, rows * kMicrosecond);
  }
  CHECK(table.rows_within(20 * kMicrosecond, 32) == 16);
  CHECK(table.rows_within(16 * kMicrosecond, 32) == 16);
  CHECK(table.rows_within(16 * kMicrosecond - 1, 32) == 8);
  CHECK(table.rows_within(kSecond, 32) == 16);  // less than all
  CHECK(table.rows_within(0, 32) == 0);
  CHECK(LatencyTable().rows_within(kSecond, 32) == 0);
  LatencyTable uneven;
  for (int i = 0; i < 400; ++i) uneven.record(8, (i % 2 == 0 ? 10 : 30) * kMicrosecond);
  CHECK(uneven.usual(8) > 25 * kMicrosecond);
  CHECK(uneven.usual(8) < 35 * kMicrosecond);
  CHECK(uneven.p99(8) > 50 * kMicrosecond);
}

TEST_CASE("latency_table: beyond what was measured, as far as the fixed cost matters") {
  LatencyTable conv;  // dear rows: there was time for two sizes, and 6.4 % to gain
  conv.record(1, 8'907 * kMicrosecond);
  conv.record(2, 16'737 * kMicrosecond);
  CHECK(conv.cheapest_rows(64) == 2);
  LatencyTable mlp;
  mlp.record(1, 10 * kMillisecond);
  mlp.record(2, 10 * kMillisecond + kMicrosecond);
  CHECK(mlp.cheapest_rows(64) == 64);
  LatencyTable between;  // 5 ms + 5 ms a row: 17 rows cost 6 % more than they had to
  between.record(1, 10 * kMillisecond);
  between.record(2, 15 * kMillisecond);
  CHECK(between.cheapest_rows(64) == 16);
}

}  // namespace
