#include "batch/latency_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace inferkit {

std::size_t LatencyTable::bucket_of(std::uint32_t rows) noexcept {
  if (rows <= 1) return 0;
  const auto width = static_cast<std::size_t>(std::bit_width(rows - 1));  // up to 1 << width
  const bool lower_half = width >= 2 && rows <= 3ULL << (width - 2);
  return std::min(2 * width - (lower_half ? 2 : 1), kBuckets - 1);
}

std::uint32_t LatencyTable::size_of(std::size_t bucket) noexcept {
  if (bucket == 0) return 1;
  return bucket % 2 != 0 ? 1U << (bucket + 1) / 2 : 3U << (bucket / 2 - 1);
}

void LatencyTable::record(std::uint32_t rows, DurationNs took) noexcept {
  Bucket& bucket = buckets_[bucket_of(rows)];
  measured_ |= std::uint64_t{1} << bucket_of(rows);
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
  const Bucket& nearest = buckets_[bucket_of(rows)];
  if (nearest.rows == want) return static_cast<DurationNs>(nearest.mean);
  const Bucket* below = nullptr;
  const Bucket* above = nullptr;
  each_measured([&](const Bucket& bucket, std::uint32_t) {
    if (bucket.rows <= want) below = &bucket;
    if (bucket.rows >= want) above = &bucket;
    return above == nullptr;
  });
  if (below == nullptr) return static_cast<DurationNs>(above->mean);
  if (above == nullptr) return static_cast<DurationNs>(below->mean * want / below->rows);
  if (above->rows <= below->rows) return static_cast<DurationNs>(below->mean);
  const double share = (want - below->rows) / (above->rows - below->rows);
  return static_cast<DurationNs>(below->mean + share * (above->mean - below->mean));
}

DurationNs LatencyTable::bound(std::uint32_t rows, double deviations) const noexcept {
  const Bucket& bucket = buckets_[bucket_of(rows)];
  const DurationNs expected = mean(rows);
  // With few samples the deviation says nothing yet: assume a quarter of the mean.
  const double deviation =
      bucket.count >= 8 ? bucket.deviation : static_cast<double>(expected) / 4.0;
  return expected + static_cast<DurationNs>(deviations * deviation);
}

DurationNs LatencyTable::fixed_cost() const noexcept {
  const Bucket* first = nullptr;
  const Bucket* last = nullptr;
  each_measured([&](const Bucket& bucket, std::uint32_t) {
    if (first == nullptr) first = &bucket;
    last = &bucket;
    return true;
  });
  if (first == last) return 0;
  const double per_row = (last->mean - first->mean) / (last->rows - first->rows);
  return std::max<DurationNs>(0, static_cast<DurationNs>(first->mean - first->rows * per_row));
}

// Still falling at the largest size measured: on the straight line through all of them, where does
// the fixed cost no longer matter?
std::uint32_t LatencyTable::extrapolated_rows(std::uint32_t limit) const noexcept {
  const auto fixed = static_cast<double>(fixed_cost() + kDispatch);
  const Bucket& largest = buckets_[static_cast<std::size_t>(std::bit_width(measured_) - 1)];
  const double each = (largest.mean - static_cast<double>(fixed_cost())) / largest.rows;
  const double rows = fixed / ((kNoLoss - 1) * std::max(each, 1.0));
  return rows < limit ? size_of(bucket_of(static_cast<std::uint32_t>(rows))) : limit;
}

std::uint32_t LatencyTable::cheapest_rows(std::uint32_t limit) const noexcept {
  // One measured size is no comparison.
  if (std::popcount(measured_) < 2) return limit;
  double least = std::numeric_limits<double>::infinity();
  const Bucket* last = nullptr;
  each_measured([&](const Bucket& bucket, std::uint32_t) {
    least = std::min(least, per_row(bucket.mean, bucket.rows));
    last = &bucket;
    return true;
  });
  // Whoever asks for one row alone is served soonest by one row. Among batches the loss counts, for
  // this size is what a full queue is cut into: where they are short the largest is taken, so that
  // a size which noise made look cheap does not keep all others small.
  std::uint32_t best = 0;
  each_measured([&](const Bucket& bucket, std::uint32_t size) {
    const double tolerance = size == 1 ? kNoLoss : kNoise;
    if (per_row(bucket.mean, bucket.rows) > tolerance * least) return true;
    if (best != 0 && bucket.mean > static_cast<double>(kShortRun)) return false;
    best = std::min(limit, &bucket == last ? std::max(size, extrapolated_rows(limit)) : size);
    return size != 1;
  });
  return best;
}

std::uint32_t LatencyTable::smallest_good_rows(std::uint32_t least,
                                               std::uint32_t most) const noexcept {
  const auto in_range = [&](std::uint32_t size) { return size >= least && size < most; };
  double best = per_row(static_cast<double>(mean(most)), most);
  each_measured([&](const Bucket& bucket, std::uint32_t size) {
    if (in_range(size)) best = std::min(best, per_row(bucket.mean, bucket.rows));
    return true;
  });
  std::uint32_t rows = most;
  each_measured([&](const Bucket& bucket, std::uint32_t size) {
    const bool good = in_range(size) && per_row(bucket.mean, bucket.rows) <= kPartLoss * best;
    if (good) rows = size;
    return !good;
  });
  return rows;
}

std::uint32_t LatencyTable::rows_within(DurationNs time, std::uint32_t most) const noexcept {
  std::uint32_t rows = 0;
  each_measured([&](const Bucket&, std::uint32_t size) {
    const bool fits = size < most && usual(size) <= time;
    if (fits) rows = size;
    return size < most;
  });
  return rows;
}

}  // namespace inferkit
