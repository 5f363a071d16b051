#include "batch/latency_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace inferkit {

std::size_t LatencyTable::bucket_of(std::uint32_t rows) noexcept {
  const auto bucket = static_cast<std::size_t>(std::bit_width(std::max(rows, 1U) - 1));
  return std::min(bucket, kBuckets - 1);
}

void LatencyTable::record(std::uint32_t rows, DurationNs took) noexcept {
  Bucket& bucket = buckets_[bucket_of(rows)];
  measured_ |= 1U << bucket_of(rows);
  // Counts no further than it matters: a session that runs for weeks must not wrap to "nothing".
  bucket.count = std::min(bucket.count + 1, kMemory);
  // A plain mean first, then a weight of 1/16: about the last 40 runs count.
  const double weight = 1.0 / bucket.count;
  auto value = static_cast<double>(took);
  if (bucket.count > 1) {
    // A thread that lost its core for a while says nothing about the model. Twice in a row it does:
    // the model takes longer now, or with such inputs.
    const bool far = value > kOutlier * bucket.mean;
    if (far && !bucket.strayed) value = kOutlier * bucket.mean;
    bucket.strayed = far;
    bucket.deviation += weight * (std::abs(value - bucket.mean) - bucket.deviation);
  }
  bucket.mean += weight * (value - bucket.mean);
  bucket.rows += weight * (std::max(rows, 1U) - bucket.rows);
}

DurationNs LatencyTable::mean(std::uint32_t rows) const noexcept {
  if (measured_ == 0) return 0;
  const double want = std::max(rows, 1U);
  const Bucket* below = nullptr;
  const Bucket* above = nullptr;
  for (const Bucket& bucket : buckets_) {
    if (bucket.count == 0) continue;
    if (bucket.rows <= want) below = &bucket;
    if (bucket.rows >= want && above == nullptr) above = &bucket;
  }
  if (below == nullptr) return static_cast<DurationNs>(above->mean);
  if (above == nullptr) return static_cast<DurationNs>(below->mean * want / below->rows);
  if (above->rows <= below->rows) return static_cast<DurationNs>(below->mean);
  const double share = (want - below->rows) / (above->rows - below->rows);
  return static_cast<DurationNs>(below->mean + share * (above->mean - below->mean));
}

DurationNs LatencyTable::p99(std::uint32_t rows) const noexcept {
  const Bucket& bucket = buckets_[bucket_of(rows)];
  const DurationNs expected = mean(rows);
  // With few samples the deviation says nothing yet: assume it is as large as the mean.
  const double deviation =
      bucket.count >= 8 ? bucket.deviation : static_cast<double>(expected) / 4.0;
  return expected + static_cast<DurationNs>(4.0 * deviation);
}

DurationNs LatencyTable::fixed_cost() const noexcept {
  const Bucket* first = nullptr;
  const Bucket* last = nullptr;
  for (const Bucket& bucket : buckets_) {
    if (bucket.count == 0) continue;
    if (first == nullptr) first = &bucket;
    last = &bucket;
  }
  if (first == last) return 0;
  const double per_row = (last->mean - first->mean) / (last->rows - first->rows);
  return std::max<DurationNs>(0, static_cast<DurationNs>(first->mean - first->rows * per_row));
}

std::uint32_t LatencyTable::cheapest_rows(std::uint32_t limit) const noexcept {
  // One measured size is no comparison.
  if (std::popcount(measured_) < 2) return limit;
  const auto per_row = [](const Bucket& bucket) {
    return (bucket.mean + static_cast<double>(kDispatch)) / bucket.rows;
  };
  double least = std::numeric_limits<double>::infinity();
  const Bucket* last = nullptr;
  for (const Bucket& bucket : buckets_) {
    if (bucket.count == 0) continue;
    least = std::min(least, per_row(bucket));
    last = &bucket;
  }
  // Within kNoLoss the smaller batch is better: it answers sooner, and leaves more often something
  // for an instance that becomes free while the answers of the last batch are on their way.
  const Bucket* best = std::find_if(buckets_.begin(), buckets_.end(), [&](const Bucket& bucket) {
    return bucket.count != 0 && per_row(bucket) <= kNoLoss * least;
  });
  // Still falling at the largest size measured: larger ones may be cheaper yet.
  if (best == last) return limit;
  const auto rows = static_cast<std::uint32_t>(std::lround(best->rows));
  // A bucket stands for all sizes up to its power of two.
  return std::min(limit, std::bit_ceil(std::max(rows, 1U)));
}

}  // namespace inferkit
