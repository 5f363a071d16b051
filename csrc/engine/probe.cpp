#include "engine/probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace inferkit {
namespace {

// SplitMix64: any seed gives a good stream, and the same one everywhere.
std::uint64_t next_random(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// Exponents 11 to 14 of the half format: magnitudes from 1/16 to just under 1.
std::uint16_t half_from(std::uint64_t bits) noexcept {
  const auto exponent = static_cast<std::uint16_t>(11 + bits % 4);
  return static_cast<std::uint16_t>(((bits >> 8) & 0x8000U) | exponent << 10 |
                                    ((bits >> 32) & 0x3ffU));
}

double half_to_double(std::uint16_t half) noexcept {
  const int exponent = (half >> 10) & 0x1f;
  const double fraction = half & 0x3ff;
  double value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(fraction + 1024, exponent - 25);
  }
  return (half & 0x8000U) != 0 ? -value : value;
}

template <class T>
void put(std::byte* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
}

template <class T>
T get(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Integers are the same throughout a row, 0 or 1: indices that every table has, and none of the
// knife-edge inputs that a random mixture makes of them (a convolutional net over bytes moved by
// 2 % there between two batch sizes, and by 1e-7 on real bytes).
void fill_usual(DType dtype, std::byte* at, std::size_t elements, std::uint64_t seed) noexcept {
  const bool ones = seed % 2 == 1;
  for (std::size_t i = 0; i < elements; ++i, at += item_size(dtype)) {
    const std::uint64_t bits = next_random(seed);
    const double real = static_cast<double>(bits >> 11) * 0x1p-52 - 1.0;
    switch (dtype) {
      case DType::float32:
        put(at, static_cast<float>(real));
        break;
      case DType::float64:
        put(at, real);
        break;
      case DType::float16:
        put(at, half_from(bits));
        break;
      default:
        std::memset(at, 0, item_size(dtype));
        at[0] = static_cast<std::byte>(ones);  // little-endian; big-endian machines probe 2^k
    }
  }
}

bool is_real(DType dtype) noexcept {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::float16;
}

// A few times what models are trained on would do for most; what scales by a bound may have a high
// one. The half format ends at 65504.
constexpr double kLarge = 1e6;
constexpr std::uint16_t kLargeHalf = 0x7b00;  // 57344
constexpr std::uint16_t kInfiniteHalf = 0x7c00;
constexpr std::uint16_t kNanHalf = 0x7e00;

void put_extreme(DType dtype, std::byte* at, ProbeRow::Values values, bool negative) noexcept {
  double value = NAN;
  std::uint16_t half = kNanHalf;
  if (values == ProbeRow::Values::large) {
    value = negative ? -kLarge : kLarge;
    half = kLargeHalf;
  } else if (values == ProbeRow::Values::infinite) {
    value = negative ? -INFINITY : INFINITY;
    half = kInfiniteHalf;
  }
  if (dtype == DType::float32) {
    put(at, static_cast<float>(value));
  } else if (dtype == DType::float64) {
    put(at, value);
  } else {
    put(at, static_cast<std::uint16_t>(negative ? half | 0x8000U : half));
  }
}

void fill(DType dtype, std::byte* at, std::size_t elements, const ProbeRow& row) noexcept {
  const std::size_t item = item_size(dtype);
  if (row.values == ProbeRow::Values::zeros) {
    std::memset(at, 0, elements * item);
  } else if (row.values == ProbeRow::Values::usual || !is_real(dtype)) {
    fill_usual(dtype, at, elements, row.seed);
  } else {
    for (std::size_t i = 0; i < elements; ++i) {
      put_extreme(dtype, at + i * item, row.values, i % 2 == 1);
    }
  }
}

double value_at(DType dtype, const std::byte* at) noexcept {
  switch (dtype) {
    case DType::float32:
      return static_cast<double>(get<float>(at));
    case DType::float64:
      return get<double>(at);
    case DType::float16:
      return half_to_double(get<std::uint16_t>(at));
    default:
      return 0;
  }
}

}  // namespace

std::vector<OutputSlot> Probe::run(const std::vector<ProbeRow>& rows, bool alone,
                                   RunLimits* limits) {
  std::vector<TensorView> inputs;
  bytes_.clear();
  for (const TensorSpec& spec : signature_.inputs) {
    TensorView view{spec.dtype, spec.shape, nullptr};
    std::size_t row_elements = 1;
    for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis) {
      const bool counts_rows = axis == 0 && signature_.batched;
      if (spec.shape[axis] < 0)
        view.shape[axis] = counts_rows ? static_cast<std::int64_t>(rows.size()) : kOpenDim;
      if (spec.shape[axis] < 0 && axis == 0 && !signature_.batched) view.shape[axis] = 1;
      if (!counts_rows) row_elements *= static_cast<std::size_t>(view.shape[axis]);
    }
    const std::size_t row_bytes = row_elements * item_size(spec.dtype);
    const std::size_t count = signature_.batched ? rows.size() : 1;
    auto& bytes = bytes_.emplace_back(std::max<std::size_t>(1, row_bytes * count));
    for (std::size_t row = 0; row < count; ++row) {
      fill(spec.dtype, bytes.data() + row * row_bytes, row_elements, rows[row]);
    }
    view.data = bytes.data();
    inputs.push_back(view);
  }
  std::vector<OutputSlot> outputs;
  outputs.reserve(signature_.outputs.size());
  for (const TensorSpec& spec : signature_.outputs) {
    outputs.push_back({TensorView{spec.dtype, spec.shape, nullptr}, {}});
  }
  backend_.run(inputs, outputs, RunContext{0, alone, nullptr, limits});
  return outputs;
}

double row_difference(const TensorView& batch, std::size_t row, const TensorView& solo) {
  const std::size_t bytes = checked_bytes(solo.dtype, solo.shape.dims()).value_or(0);
  const std::byte* mine = batch.data + row * bytes;
  if (bytes == 0 || std::memcmp(mine, solo.data, bytes) == 0) return 0;
  if (!is_real(solo.dtype)) return 1;
  double largest = 0;
  double difference = 0;
  for (std::size_t at = 0; at < bytes; at += item_size(solo.dtype)) {
    const double a = value_at(solo.dtype, mine + at);
    const double b = value_at(solo.dtype, solo.data + at);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (std::isnan(a) != std::isnan(b)) return INFINITY;
    if (a == b) continue;  // infinities included
    if (!std::isfinite(a) || !std::isfinite(b)) return INFINITY;
    largest = std::max(largest, std::abs(b));
    difference = std::max(difference, std::abs(a - b));
  }
  for (std::size_t at = 0; at < bytes; at += item_size(solo.dtype)) {
    const double b = std::abs(value_at(solo.dtype, solo.data + at));
    if (std::isfinite(b)) largest = std::max(largest, b);
  }
  return difference / std::max(largest, 1e-30);
}

double row_tolerance(DType dtype) noexcept { return dtype == DType::float16 ? 1e-2 : 1e-4; }

}  // namespace inferkit
