// Which sizes the pool keeps.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "memory/resource.h"

namespace inferkit {

inline constexpr std::size_t kSmallestBlockBytes = 256;
inline constexpr std::size_t kFineStepsAboveBytes = std::size_t{1} << 20;
inline constexpr std::size_t kLargestBlockBytes = std::size_t{1} << 43;
inline constexpr std::size_t kSizeClassCount = 209;

struct SizeClass {
  std::uint16_t index = 0;
  std::size_t bytes = 0;  // what a block of the class can hold
};

// The smallest class that holds `bytes` <= kLargestBlockBytes. Powers of two and the half steps
// between them up to 1 MiB, eighth steps above. From 4 KiB on every class is whole pages. Unused
// at the end of a block: less than a third of it (an eighth above 1 MiB) or less than a page.
[[nodiscard]] constexpr SizeClass size_class(std::size_t bytes) noexcept {
  if (bytes <= kSmallestBlockBytes) return {0, kSmallestBlockBytes};
  const std::size_t below = std::bit_floor(bytes - 1);  // below < bytes <= 2 * below
  const auto octave = static_cast<std::size_t>(std::countr_zero(below));
  if (bytes <= kFineStepsAboveBytes) {
    const bool half = bytes <= below / 2 * 3 && below != kPageBytes;  // 6 KiB is no whole page
    const std::size_t steps = half ? 1 : 2;
    return {static_cast<std::uint16_t>(2 * (octave - 8) + steps), below + below / 2 * steps};
  }
  const std::size_t steps = (bytes - below + below / 8 - 1) / (below / 8);
  return {static_cast<std::uint16_t>(24 + 8 * (octave - 20) + steps), below + below / 8 * steps};
}

}  // namespace inferkit
