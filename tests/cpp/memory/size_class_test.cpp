#include "memory/size_class.h"

#include <doctest/doctest.h>

#include <random>

using namespace inferkit;

namespace {

std::size_t random_bytes(std::mt19937_64& random) {
  // Every magnitude equally often, so that small and huge classes are met alike.
  const std::uint64_t top = std::uint64_t{1} << (random() % 43);
  return static_cast<std::size_t>(top + random() % top);
}

TEST_CASE("size_class: a block holds what was asked and wastes little") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200'000; ++round) {
    const std::size_t bytes = random_bytes(random);
    const SizeClass found = size_class(bytes);
    REQUIRE(found.index < kSizeClassCount);
    REQUIRE(found.bytes >= bytes);
    const std::size_t waste = found.bytes - bytes;
    if (bytes <= kSmallestBlockBytes) continue;
    REQUIRE((waste <= found.bytes / 3 || waste < kPageBytes));
    if (bytes > kFineStepsAboveBytes) REQUIRE(waste <= found.bytes / 8);
  }
}

TEST_CASE("size_class: sizes and numbers rise together, one size for each number") {
  SizeClass last = size_class(0);
  CHECK(last.bytes == kSmallestBlockBytes);
  std::size_t classes = 1;
  while (last.bytes < kLargestBlockBytes) {
    const SizeClass next = size_class(last.bytes + 1);
    REQUIRE(next.index > last.index);
    REQUIRE(next.bytes > last.bytes);
    REQUIRE(size_class(next.bytes).index == next.index);
    REQUIRE(size_class(next.bytes).bytes == next.bytes);
    last = next;
    ++classes;
  }
  CHECK(last.index + 1U == kSizeClassCount);
  CHECK(classes == kSizeClassCount - 1);  // 6 KiB would be no whole page
}

TEST_CASE("size_class: below a page multiples of 64, from a page on whole pages") {
  for (std::size_t bytes = 1; bytes < 4 * kFineStepsAboveBytes; bytes = bytes * 5 / 4 + 1) {
    const std::size_t alignment = bytes > 3072 ? kPageBytes : 64;
    CHECK(size_class(bytes).bytes % alignment == 0);
  }
}

}  // namespace
