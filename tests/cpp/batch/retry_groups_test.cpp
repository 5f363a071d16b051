#include "batch/retry_groups.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "base/heap_count.h"
#include "support/records.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using Groups = std::vector<std::vector<Record*>>;

Groups all_of(const RetryGroups<StdAtom>& groups) {
  Groups all;
  groups.each([&](auto group) { all.emplace_back(group.begin(), group.end()); });
  return all;
}

TEST_CASE("retry_groups: as they were added; one of nobody is none") {
  Records records;
  Record* a = records.make();
  Record* b = records.make();
  Record* c = records.make();
  RetryGroups<StdAtom> groups;
  CHECK(groups.empty());
  groups.end_group();
  CHECK(groups.empty());
  groups.add(a);
  groups.add(b);
  groups.end_group();
  groups.end_group();
  groups.add(c);
  groups.end_group();
  CHECK_FALSE(groups.empty());
  CHECK(all_of(groups) == Groups{{a, b}, {c}});
  groups.clear();
  CHECK(groups.empty());
  CHECK(all_of(groups).empty());
  groups.add(b);
  groups.end_group();
  CHECK(all_of(groups) == Groups{{b}});
}

TEST_CASE("retry_groups: who divides as many as were reserved asks the heap for nothing") {
  Records records;
  std::vector<Record*> all;
  for (int i = 0; i < 64; ++i) all.push_back(records.make());
  RetryGroups<StdAtom> groups;
  groups.reserve(all.size());
  const std::uint64_t before = heap_allocations();
  for (const std::size_t most : {1U, 7U, 64U}) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      groups.add(all[i]);
      if ((i + 1) % most == 0) groups.end_group();
    }
    groups.end_group();
    groups.clear();
  }
  CHECK(heap_allocations() == before);
}

}  // namespace
