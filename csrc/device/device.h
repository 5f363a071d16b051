// Which chip a model runs on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace inferkit {

enum class DeviceKind : std::uint8_t { cpu, cuda };

// A value. `index` counts the devices of the kind as the driver numbers them; 0 for the CPU.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  std::uint32_t index = 0;

  friend bool operator==(Device, Device) = default;
};

// "cpu", "cuda:0".
[[nodiscard]] std::string to_string(Device device);

// "cpu", "cuda" (the first) or "cuda:<number>"; nothing for "auto", where the caller chooses.
// Says nothing about whether the device exists. Throws: Error(invalid_input) for anything else.
[[nodiscard]] std::optional<Device> parse_device(std::string_view name);

}  // namespace inferkit
