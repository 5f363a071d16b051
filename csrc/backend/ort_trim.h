// When to give back the memory that ONNX Runtime computed in.
//
// Its pool keeps what the largest run needed: one request of 1 GiB would keep more than that. To
// give it back after every run costs 20-30 % of runs whose intermediate results are large, which
// then fault their pages in again. So it goes back after runs that are much larger than usual, and
// once after the usual has become much smaller than what was kept.
#pragma once

#include <algorithm>
#include <cstdint>

namespace inferkit::ort {

// Decides for one instance, by the bytes of a run's inputs, which grow as
// its intermediate results do. Threads: one at a time.
class TrimWatch {
 public:
  // Called once for each run: whether to trim after it.
  [[nodiscard]] bool trim_after(std::uint64_t bytes) noexcept {
    const bool odd = bytes >= kWorthIt && bytes > kMuchLarger * usual_;
    const bool stale = kept_ >= kWorthIt && kept_ > kMuchLarger * std::max(usual_, bytes);
    // The usual follows slowly: a new steady size is trimmed after two or three times, then kept.
    usual_ =
        bytes >= usual_ ? usual_ + (bytes - usual_) / kMemory : usual_ - (usual_ - bytes) / kMemory;
    kept_ = odd || stale ? 0 : std::max(kept_, bytes);
    return odd || stale;
  }

 private:
  static constexpr std::uint64_t kWorthIt = 64 << 10;  // below: at most a few MiB
  static constexpr std::uint64_t kMuchLarger = 4;
  static constexpr std::uint64_t kMemory = 8;  // runs

  std::uint64_t usual_ = 0;  // moving average of bytes
  std::uint64_t kept_ = 0;   // largest run since the last trim
};

}  // namespace inferkit::ort
