// How long a batch of so many rows takes, learned from the runs themselves.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace inferkit {

// Two buckets per power of two, each of the rows up to its size: 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
// Matrix kernels work on blocks of 6 or 12 rows, so powers of two alone would miss the best. Each
// holds an exponentially weighted mean and mean deviation, so old measurements fade; a sample above
// kOutlier times the mean counts in full only if the one before was as far off.
// Durations are those of Backend::run, in nanoseconds. Threads: one at a time (the token holder, or
// the warm-up). Owns: itself. Blocks: never.
class LatencyTable {
 public:
  void record(std::uint32_t rows, DurationNs took) noexcept;

  [[nodiscard]] bool measured() const noexcept { return measured_ != 0; }

  // Expected time of a batch of `rows`: between measured buckets by the straight line, above the
  // largest in proportion, below the smallest as the smallest. 0 when nothing was measured.
  [[nodiscard]] DurationNs mean(std::uint32_t rows) const noexcept;

  // A bound that all but about one run in a hundred keep: mean + 4 mean deviations.
  [[nodiscard]] DurationNs p99(std::uint32_t rows) const noexcept { return bound(rows, 4.0); }
  // One that most runs keep: mean + a mean deviation.
  [[nodiscard]] DurationNs usual(std::uint32_t rows) const noexcept { return bound(rows, 1.0); }

  // The part of a batch's cost that does not grow with its rows: mean(1) less the cost of a row.
  [[nodiscard]] DurationNs fixed_cost() const noexcept;

  // The smallest size up to `limit` whose measured time per row, a batch's own dispatch cost
  // included, is the least or next to it; the largest of those that are no longer than kShortRun. 1
  // where batching loses or gains next to nothing; `limit` when nothing says otherwise.
  [[nodiscard]] std::uint32_t cheapest_rows(std::uint32_t limit) const noexcept;

  // The smallest among the measured sizes from `least` to `most`, and `most` itself, whose expected
  // time per row is at most kPartLoss times the least of these.
  [[nodiscard]] std::uint32_t smallest_good_rows(std::uint32_t least,
                                                 std::uint32_t most) const noexcept;

  // The largest of the measured sizes below `most` whose usual time is within `time`; 0: none.
  [[nodiscard]] std::uint32_t rows_within(DurationNs time, std::uint32_t most) const noexcept;

  // What a batch costs beside its run: most of it is to wake whoever waits for the answers, on
  // caches that the run has emptied (measured with an event loop: 24 us).
  static constexpr DurationNs kDispatch = 20 * kMicrosecond;
  static constexpr double kOutlier = 4.0;
  static constexpr double kNoLoss = 1.06;  // a time per row not worth a different batch
  static constexpr double kNoise = 1.02;   // a time per row that counts as the least
  // A batch that delays nobody noticeably.
  static constexpr DurationNs kShortRun = 4 * kMillisecond;
  // A part that keeps all instances busy is worth this much per row (docs/adr/0008).
  static constexpr double kPartLoss = 1.12;

 private:
  struct Bucket {
    double rows = 0;
    double mean = 0;
    double deviation = 0;
    std::uint32_t count = 0;  // of samples, up to kMemory
    bool strayed = false;     // the last sample was far above the mean
  };
  static constexpr std::size_t kBuckets = 42;
  static constexpr std::uint32_t kMemory = 16;

  [[nodiscard]] DurationNs bound(std::uint32_t rows, double deviations) const noexcept;
  [[nodiscard]] static std::size_t bucket_of(std::uint32_t rows) noexcept;
  [[nodiscard]] std::uint32_t extrapolated_rows(std::uint32_t limit) const noexcept;
  [[nodiscard]] static std::uint32_t size_of(std::size_t bucket) noexcept;
  [[nodiscard]] static double per_row(double time, double rows) noexcept {
    return (time + static_cast<double>(kDispatch)) / rows;
  }
  // visit(bucket, its size) for each that holds something, the smallest first, until it says false.
  template <class Visit>
  void each_measured(Visit&& visit) const noexcept {
    for (std::uint64_t left = measured_; left != 0; left &= left - 1) {
      const auto index = static_cast<std::size_t>(__builtin_ctzll(left));
      if (!visit(buckets_[index], size_of(index))) return;
    }
  }

  std::array<Bucket, kBuckets> buckets_{};
  std::uint64_t measured_ = 0;  // a bit per bucket that holds something
};

}  // namespace inferkit
