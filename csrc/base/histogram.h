// How long things took, cheaply and to within two percent.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace inferkit {

// The buckets: one per nanosecond up to 64 ns, then 32 to each doubling up to 2^40 ns (18 min),
// where the last one takes everything longer. The middle of a bucket is within 1/64 (1.6 %) of
// every duration in it.
namespace log_linear {

inline constexpr int kSubBits = 5;
inline constexpr int kTopBit = 40;
inline constexpr std::size_t kLinear = std::size_t{2} << kSubBits;
inline constexpr std::size_t kBuckets =
    kLinear + (static_cast<std::size_t>(kTopBit - kSubBits - 1) << kSubBits);

[[nodiscard]] constexpr std::size_t bucket_of(DurationNs duration) noexcept {
  if (duration < 0) return 0;
  const auto value = static_cast<std::uint64_t>(duration);
  if (value < kLinear) return static_cast<std::size_t>(value);
  const int shift = 63 - std::countl_zero(value) - kSubBits;  // leaves kSubBits + 1 leading bits
  const std::size_t bucket =
      (static_cast<std::size_t>(shift) << kSubBits) + static_cast<std::size_t>(value >> shift);
  return bucket < kBuckets ? bucket : kBuckets - 1;
}

// The middle of the bucket.
[[nodiscard]] constexpr DurationNs duration_of(std::size_t bucket) noexcept {
  if (bucket < kLinear) return static_cast<DurationNs>(bucket);
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::size_t leading = bucket - (shift << kSubBits);
  return static_cast<DurationNs>((leading << shift) + ((std::size_t{1} << shift) >> 1));
}

}  // namespace log_linear

// Counts at one moment. Threads: a value.
class HistogramSnapshot {
 public:
  HistogramSnapshot() : counts_(log_linear::kBuckets) {}

  [[nodiscard]] std::uint64_t count() const noexcept;
  // The duration that a share `q` (0 to 1) of all does not exceed, to 1.6 %; 0 when empty.
  [[nodiscard]] DurationNs quantile(double q) const noexcept;
  // To 1.6 %; 0 when empty.
  [[nodiscard]] double mean() const noexcept;
  void merge(const HistogramSnapshot& other) noexcept;

 private:
  friend class Histogram;

  std::vector<std::uint64_t> counts_;
};

// Threads: any; record() is one relaxed atomic increment. Blocks: never. Throws: snapshot() only
// (std::bad_alloc). A snapshot taken while others record is short of a few, never wrong by more.
class Histogram {
 public:
  // Negative durations count as 0.
  void record(DurationNs duration) noexcept {
    // relaxed: each count stands alone.
    counts_[log_linear::bucket_of(duration)].fetch_add(1, std::memory_order_relaxed);
  }

  [[nodiscard]] HistogramSnapshot snapshot() const;

 private:
  std::array<std::atomic<std::uint64_t>, log_linear::kBuckets> counts_{};
};

}  // namespace inferkit
