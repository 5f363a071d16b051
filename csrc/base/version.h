// The version this library was built as.
#pragma once

#include <string_view>

namespace inferkit {

// As in python/inferkit/_version.py, for example "0.1.0".
// Threads: any. Throws: never.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace inferkit
