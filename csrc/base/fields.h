// One table per options or stats struct, read by the binding, range errors, repr, stubs and docs.
//
//   struct Options {
//     std::uint32_t max_pending = 1024;
//     bool warmup = true;
//   };
//   constexpr auto fields(Of<Options>) {
//     return std::tuple{
//         field(&Options::max_pending, "max_pending", "requests", "How many may wait.", {1,
//         65536}), field(&Options::warmup, "warmup", "", "Run each batch size once while
//         opening.")};
//   }
//
// A member without a row fails the build wherever the table is used.
#pragma once

#include <cstddef>
#include <limits>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace inferkit {

// Which struct's table: found by argument-dependent lookup, so a table stands beside its struct.
template <class T>
struct Of {};

template <class T>
inline constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

// Both ends belong to it. Without arguments: whatever the type can hold.
template <class T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();

  [[nodiscard]] constexpr bool holds(T value) const noexcept {
    return min <= value && value <= max;
  }
};

struct NoRange {};

template <class Owner, class Member>
struct Field {
  Member Owner::* member;
  std::string_view name;  // as users write it
  std::string_view unit;  // of the number as stored: "rows", "ns", "bytes"; "" where none
  std::string_view doc;   // one sentence
  std::conditional_t<is_number<Member>, Range<Member>, NoRange> range;
};

template <class Owner, class Member>
[[nodiscard]] constexpr auto field(Member Owner::* member, std::string_view name,
                                   std::string_view unit, std::string_view doc,
                                   decltype(Field<Owner, Member>::range) range = {}) {
  return Field<Owner, Member>{member, name, unit, doc, range};
}

namespace fields_detail {

struct Anything {
  template <class T>
  operator T() const;  // never defined: asked about, not called
};

template <class T, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), Anything{})...}; };
}

template <class A, class B>
constexpr bool same_row(const A& a, const B& b) {
  if (a.name == b.name) return true;
  if constexpr (std::is_same_v<A, B>) return a.member == b.member;
  return false;
}

template <class First, class... Others>
constexpr bool all_differ(const First& first, const Others&... others) {
  if ((same_row(first, others) || ...)) return false;
  if constexpr (sizeof...(others) != 0) return all_differ(others...);
  return true;
}

}  // namespace fields_detail

// How many members the aggregate T has. C arrays and references as members are not understood.
template <class T, std::size_t Known = 0>
[[nodiscard]] constexpr std::size_t member_count() {
  static_assert(std::is_aggregate_v<T>);
  if constexpr (fields_detail::takes<T>(std::make_index_sequence<Known + 1>{})) {
    return member_count<T, Known + 1>();
  } else {
    return Known;
  }
}

// Whether the table has one row for each member and no two for the same member or name.
template <class T>
[[nodiscard]] constexpr bool fields_complete() {
  constexpr auto table = fields(Of<T>{});
  if (std::tuple_size_v<decltype(table)> != member_count<T>()) return false;
  return std::apply([](const auto&... rows) { return fields_detail::all_differ(rows...); }, table);
}

// f(row, value) for each row in the table's order; values are const if `object` is.
template <class T, class F>
constexpr void for_each_field(T& object, F&& f) {
  using Struct = std::remove_const_t<T>;
  static_assert(fields_complete<Struct>(), "a member of the struct has no row, or one has two");
  std::apply([&](const auto&... rows) { (f(rows, object.*(rows.member)), ...); },
             fields(Of<Struct>{}));
}

// Throws: Error(invalid_input) naming the first number that is out of its range.
template <class T>
void check_ranges(const T& object) {
  for_each_field(object, [](const auto& row, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (is_number<Value>) {
      if (row.range.holds(value)) return;
      const bool open_ended = row.range.max == std::numeric_limits<Value>::max();
      // +: a one-byte integer is a number here, not a character.
      fail(ErrorCode::invalid_input, row.name, ": ", +value, row.unit.empty() ? "" : " ", row.unit,
           " is out of range, expected ",
           open_ended ? text("at least ", +row.range.min)
                      : text(+row.range.min, " to ", +row.range.max));
    }
  });
}

}  // namespace inferkit
