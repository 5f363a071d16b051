#include "bindings/short_runs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace inferkit {
namespace {

// To hand the GIL over takes as long, and all who wait for it would be woken in vain.
constexpr DurationNs kShort = 10 * kMicrosecond;
constexpr DurationNs kLong = 100 * kMicrosecond;
// Above, a row may well take longer than the others did.
constexpr std::size_t kFewBytes = 16 << 10;
constexpr std::int64_t kDoubtful = 8'000;  // doubts, of which a long run counts one a microsecond
constexpr std::int64_t kMostDoubts = 1'000'000;

}  // namespace

bool ShortRuns::expects(const Engine& engine, const EngineRequest& request) noexcept {
  const bool expected = engine.runs_within(kShort, request.rows);
  if (expected && doubts_ == kUnknown) doubts_ = 0;
  return doubts_ != kUnknown && doubts_ < kDoubtful && (expected || request.rows <= 1) &&
         request.charged_bytes <= kFewBytes;
}

void ShortRuns::learn(DurationNs took, bool with_gil) noexcept {
  if (doubts_ == kUnknown || (took > kLong && !with_gil)) return;
  const std::int64_t change = took > kLong ? took / kMicrosecond : -1;
  doubts_ = static_cast<int>(std::clamp<std::int64_t>(doubts_ + change, 0, kMostDoubts));
}

}  // namespace inferkit
