#include "base/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

constexpr double kError = 1.0 / 64;

bool close(double found, double expected) {
  return std::abs(found - expected) <= kError * expected + 0.5;
}

TEST_CASE("histogram: buckets are in order, cover everything and stay within 1/64") {
  std::size_t last = 0;
  for (DurationNs duration = 0; duration < (DurationNs{1} << 40); duration += duration / 100 + 1) {
    const std::size_t bucket = log_linear::bucket_of(duration);
    REQUIRE(bucket < log_linear::kBuckets);
    REQUIRE(bucket >= last);
    REQUIRE(bucket <= last + 1);
    REQUIRE(
        close(static_cast<double>(log_linear::duration_of(bucket)), static_cast<double>(duration)));
    REQUIRE(log_linear::bucket_of(log_linear::duration_of(bucket)) == bucket);
    last = bucket;
  }
  CHECK(last == log_linear::kBuckets - 1);
  CHECK(log_linear::bucket_of(-5) == 0);
  CHECK(log_linear::bucket_of(std::numeric_limits<DurationNs>::max()) == last);
}

TEST_CASE("histogram: quantiles and mean agree with sorted samples") {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(11.0, 2.0);  // 60 us, a long tail
  for (const std::size_t samples : {1U, 2U, 10U, 1000U, 20'000U}) {
    Histogram histogram;
    std::vector<DurationNs> sorted;
    for (std::size_t i = 0; i < samples; ++i) {
      sorted.push_back(static_cast<DurationNs>(latency(random)));
      histogram.record(sorted.back());
    }
    std::sort(sorted.begin(), sorted.end());
    const HistogramSnapshot snapshot = histogram.snapshot();
    CHECK(snapshot.count() == samples);
    for (const double q : {0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const double rank = std::max(1.0, std::ceil(q * static_cast<double>(samples)));
      const DurationNs expected = sorted[static_cast<std::size_t>(rank) - 1];
      CHECK(close(static_cast<double>(snapshot.quantile(q)), static_cast<double>(expected)));
    }
    const double sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
    CHECK(close(snapshot.mean(), sum / static_cast<double>(samples)));
  }
}

TEST_CASE("histogram: nothing recorded is zero everywhere") {
  const HistogramSnapshot empty = Histogram().snapshot();
  CHECK(empty.count() == 0);
  CHECK(empty.quantile(0.5) == 0);
  CHECK(empty.mean() == 0.0);
}

TEST_CASE("histogram: merging is recording into one") {
  Histogram left;
  Histogram right;
  Histogram both;
  for (DurationNs duration = 1; duration < 100'000; duration += 37) {
    (duration % 2 == 0 ? left : right).record(duration);
    both.record(duration);
  }
  HistogramSnapshot merged = left.snapshot();
  merged.merge(right.snapshot());
  CHECK(merged.count() == both.snapshot().count());
  for (const double q : {0.01, 0.5, 0.99}) {
    CHECK(merged.quantile(q) == both.snapshot().quantile(q));
  }
}

TEST_CASE("histogram: no record is lost between threads") {
  Histogram histogram;
  const auto work = [&] {
    for (int i = 0; i < 20'000; ++i) histogram.record(1000);
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(histogram.snapshot().count() == 40'000);
}

}  // namespace
