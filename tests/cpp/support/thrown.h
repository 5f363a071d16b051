// What a call throws, as a value to look at.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace inferkit::testing {

// Empty when the call returns; other exceptions than Error pass through.
template <class Call>
[[nodiscard]] std::optional<Error> thrown(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// Whether all words are in the text, in this order.
template <class... Words>
[[nodiscard]] bool says(std::string_view text, const Words&... words) {
  std::size_t at = 0;
  const auto find = [&](std::string_view word) {
    if (at != std::string_view::npos) at = text.find(word, at);
    if (at != std::string_view::npos) at += word.size();
  };
  (find(words), ...);
  return at != std::string_view::npos;
}

}  // namespace inferkit::testing
