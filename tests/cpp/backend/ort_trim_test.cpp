#include "backend/ort_trim.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace inferkit {
namespace {

constexpr std::uint64_t kSmall = 1 << 10;
constexpr std::uint64_t kHuge = 1 << 24;

int trims(ort::TrimWatch& watch, std::uint64_t bytes, int runs) {
  int count = 0;
  for (int i = 0; i < runs; ++i) count += watch.trim_after(bytes) ? 1 : 0;
  return count;
}

TEST_CASE("an odd run trims, a steady size soon does not") {
  ort::TrimWatch watch;
  CHECK(trims(watch, kSmall, 100) == 0);
  CHECK(watch.trim_after(kHuge));
  CHECK(trims(watch, kSmall, 100) == 0);  // nothing was kept
  const int before_it_is_usual = trims(watch, kHuge, 100);
  CHECK(before_it_is_usual >= 1);
  CHECK(before_it_is_usual <= 3);
  CHECK(trims(watch, kHuge, 1000) == 0);
}

TEST_CASE("what a busy time kept is given back once it is over") {
  ort::TrimWatch watch;
  (void)trims(watch, kHuge, 100);
  CHECK(trims(watch, kHuge / 2, 100) == 0);
  CHECK(trims(watch, kSmall, 1000) == 1);
}

TEST_CASE("small models never pay") {
  ort::TrimWatch watch;
  for (int round = 0; round < 100; ++round) {
    CHECK(trims(watch, 128, 10) == 0);
    CHECK(trims(watch, 128 * 64, 1) == 0);
  }
}

}  // namespace
}  // namespace inferkit
