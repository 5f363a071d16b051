#include "base/histogram.h"

#include <algorithm>
#include <cmath>

namespace inferkit {

std::uint64_t HistogramSnapshot::count() const noexcept {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts_) total += count;
  return total;
}

DurationNs HistogramSnapshot::quantile(double q) const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const double share = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
  // Nearest rank: the first duration counts for every share, even none.
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share)));
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  for (std::size_t i = 0; i < counts_.size() && seen < rank; ++i) {
    if (counts_[i] == 0) continue;
    seen += counts_[i];
    bucket = i;
  }
  return log_linear::duration_of(bucket);
}

double HistogramSnapshot::mean() const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    sum += static_cast<double>(counts_[i]) * static_cast<double>(log_linear::duration_of(i));
  }
  return sum / static_cast<double>(total);
}

void HistogramSnapshot::merge(const HistogramSnapshot& other) noexcept {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

HistogramSnapshot Histogram::snapshot() const {
  HistogramSnapshot out;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    out.counts_[i] = counts_[i].load(std::memory_order_relaxed);  // relaxed: see record()
  }
  return out;
}

}  // namespace inferkit
