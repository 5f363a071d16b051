#include "device/device.h"

#include <charconv>

#include "base/error.h"

namespace inferkit {
namespace {

// Digits only: no sign, no spaces, no leading zero that would give one device two names.
std::optional<std::uint32_t> parse_index(std::string_view digits) {
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  std::uint32_t index = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return index;
}

}  // namespace

std::string to_string(Device device) {
  return device.kind == DeviceKind::cpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

std::optional<Device> parse_device(std::string_view name) {
  constexpr std::string_view kNumbered = "cuda:";
  if (name == "auto") return std::nullopt;
  if (name == "cpu") return Device{DeviceKind::cpu, 0};
  if (name == "cuda") return Device{DeviceKind::cuda, 0};
  if (name.starts_with(kNumbered)) {
    if (const auto index = parse_index(name.substr(kNumbered.size()))) {
      return Device{DeviceKind::cuda, *index};
    }
  }
  fail(ErrorCode::invalid_input,
       "device: expected 'auto', 'cpu', 'cuda' or 'cuda:' and a number, got '", name, "'");
}

}  // namespace inferkit
