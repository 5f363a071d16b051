#include "base/fields.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace inferkit {
namespace {

enum class Mode : std::uint8_t { fast, careful };

struct Inner {
  int a = 0;
  int b = 0;
};

struct Everything {
  std::uint32_t rows = 8;
  std::uint8_t small = 1;
  std::int64_t delay_ns = 0;
  double ratio = 0.5;
  bool warmup = true;
  Mode mode = Mode::fast;
  std::string name{};
  std::vector<int> list{};
  std::optional<int> maybe{};
  std::map<int, int> sizes{};
  std::array<int, 3> triple{};
  Inner inner{};
};

constexpr auto fields(Of<Everything>) {
  return std::tuple{
      field(&Everything::rows, "rows", "rows", "Rows of a batch.", {1, 64}),
      field(&Everything::small, "small", "", "One byte.", {1, 2}),
      field(&Everything::delay_ns, "delay", "ns", "How long to wait.", {.min = 0}),
      field(&Everything::ratio, "ratio", "", "A share.", {0.0, 1.0}),
      field(&Everything::warmup, "warmup", "", "Whether to warm up."),
      field(&Everything::mode, "mode", "", "How."),
      field(&Everything::name, "name", "", "What it is called."),
      field(&Everything::list, "list", "", "Some numbers."),
      field(&Everything::maybe, "maybe", "", "A number or none."),
      field(&Everything::sizes, "sizes", "", "Counts."),
      field(&Everything::triple, "triple", "", "Three numbers."),
      field(&Everything::inner, "inner", "", "Two more."),
  };
}

struct MissesOne {
  int first = 0;
  std::string second;
};

constexpr auto fields(Of<MissesOne>) {
  return std::tuple{field(&MissesOne::first, "first", "", "The only row.")};
}

struct NamesOneTwice {
  int first = 0;
  int second = 0;
};

constexpr auto fields(Of<NamesOneTwice>) {
  return std::tuple{field(&NamesOneTwice::first, "first", "", "A row."),
                    field(&NamesOneTwice::first, "second", "", "The wrong member.")};
}

struct SharesAName {
  int first = 0;
  double second = 0;
};

constexpr auto fields(Of<SharesAName>) {
  return std::tuple{field(&SharesAName::first, "first", "", "A row."),
                    field(&SharesAName::second, "first", "", "The wrong name.")};
}

struct Empty {};
struct OneOptional {
  std::optional<int> only;
};
struct OneAggregate {
  Inner only;
};

// The negative controls: for_each_field() asserts what these deny.
static_assert(fields_complete<Everything>());
static_assert(!fields_complete<MissesOne>());
static_assert(!fields_complete<NamesOneTwice>());
static_assert(!fields_complete<SharesAName>());
static_assert(member_count<Empty>() == 0);
static_assert(member_count<OneOptional>() == 1);
static_assert(member_count<OneAggregate>() == 1);
static_assert(member_count<Everything>() == 12);

TEST_CASE("fields: every member is met once, in order, and can be changed") {
  Everything object;
  std::string names;
  for_each_field(object, [&](const auto& row, auto& value) {
    names += std::string(row.name) + " ";
    if constexpr (is_number<std::decay_t<decltype(value)>>) value = 2;
  });
  CHECK(names == "rows small delay ratio warmup mode name list maybe sizes triple inner ");
  CHECK(object.rows == 2);
  CHECK(object.ratio == 2.0);
  CHECK(object.warmup);
}

std::string refusal(const Everything& object) {
  try {
    check_ranges(object);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_input);
    return error.message();
  }
  return "";
}

TEST_CASE("fields: a number out of its range is named with value, unit and both ends") {
  CHECK(refusal({}) == "");
  CHECK(refusal({.rows = 64}) == "");
  CHECK(refusal({.rows = 0}) == "rows: 0 rows is out of range, expected 1 to 64");
  CHECK(refusal({.rows = 65}) == "rows: 65 rows is out of range, expected 1 to 64");
  CHECK(refusal({.small = 3}) == "small: 3 is out of range, expected 1 to 2");
  CHECK(refusal({.delay_ns = -1}) == "delay: -1 ns is out of range, expected at least 0");
  CHECK(refusal({.ratio = 1.5}) == "ratio: 1.5 is out of range, expected 0 to 1");
  CHECK(refusal({.ratio = std::numeric_limits<double>::quiet_NaN()}) != "");
}

}  // namespace
}  // namespace inferkit
