#include "memory/recent_peak.h"

#include <doctest/doctest.h>

using namespace inferkit;

namespace {

using Peak = RecentPeak<StdAtom>;
constexpr DurationNs kWindow = Peak::kWindow;

TEST_CASE("recent_peak: stays for one window at least, for two at most") {
  for (const DurationNs into : {DurationNs{1}, kWindow / 2, kWindow - 1}) {
    Peak peak;
    const TimeNs start = 100 * kSecond;
    CHECK(peak.note(1, start) == 1);
    CHECK(peak.note(9, start + into) == 9);
    CHECK(peak.note(2, start + into + 1) == 9);
    CHECK(peak.note(2, start + into + kWindow) == 9);
    CHECK(peak.note(2, start + into + 2 * kWindow) == 2);
  }
}

TEST_CASE("recent_peak: whoever looks after long finds now only") {
  Peak peak;
  CHECK(peak.note(9, kSecond) == 9);
  CHECK(peak.note(3, kSecond + 2 * kWindow) == 3);
}

TEST_CASE("recent_peak: forgets at once") {
  Peak peak;
  CHECK(peak.note(9, kSecond) == 9);
  CHECK(peak.note(1, kSecond + kWindow) == 9);
  peak.forget();
  CHECK(peak.note(1, kSecond + kWindow) == 1);
}

}  // namespace
