#include "device/gather_rows.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

using namespace inferkit;

namespace {

std::vector<std::byte> random_bytes(std::size_t count, std::mt19937& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// All workers, one after the other and backwards: no share may depend on another.
void gather(const GatherRow& row, std::byte* destination, std::size_t workers) {
  for (std::size_t worker = workers; worker-- > 0;) gather_row(row, destination, worker, workers);
}

TEST_CASE("gather_rows: equals memcpy for every size, misalignment and number of workers") {
  std::mt19937 random(3);
  const std::vector<std::byte> source = random_bytes(70'100, random);
  constexpr std::size_t kSizes[] = {0, 1, 3, 4, 15, 16, 17, 63, 64, 100, 1000, 4097, 70'000};
  constexpr std::size_t kOffsets[] = {0, 1, 2, 4, 8, 12, 16};
  for (const std::size_t bytes : kSizes) {
    for (std::size_t from = 0; from < 17; ++from) {
      for (const std::size_t to : kOffsets) {
        const std::size_t workers = 1 + random() % 300;
        std::vector<std::byte> found(bytes + 64, std::byte{0xEE});
        std::vector<std::byte> expected = found;
        gather({source.data() + from, bytes, to}, found.data(), workers);
        if (bytes != 0) std::memcpy(expected.data() + to, source.data() + from, bytes);
        CAPTURE(bytes);
        CAPTURE(from);
        CAPTURE(to);
        CAPTURE(workers);
        REQUIRE(found == expected);
      }
    }
  }
}

TEST_CASE("gather_rows: ragged rows from many places fill one block") {
  std::mt19937 random(4);
  std::vector<std::vector<std::byte>> sources;
  std::vector<GatherRow> rows;
  std::vector<std::byte> expected;
  for (int n = 0; n < 64; ++n) {
    sources.push_back(random_bytes(random() % 3000, random));
    rows.push_back({sources.back().data(), sources.back().size(), expected.size()});
    expected.insert(expected.end(), sources.back().begin(), sources.back().end());
  }
  std::vector<std::byte> found(expected.size());
  for (const GatherRow& row : rows) gather(row, found.data(), 128);
  CHECK(found == expected);
}

}  // namespace
