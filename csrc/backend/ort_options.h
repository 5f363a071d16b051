// What a caller chooses about a model that ONNX Runtime runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace inferkit {

// Either a path or, where `path` is empty, the model's bytes, which need to live only until the
// backend is made. External weights are found beside the file of a path, never for bytes.
struct OrtModel {
  std::string path;  // UTF-8 on Windows, the system's bytes elsewhere
  std::span<const std::byte> bytes;
};

using OrtConfig = std::map<std::string, std::string>;

struct OrtOptions {
  std::uint32_t instances = 1;         // how many runs may be in progress at once
  std::uint32_t threads = 0;           // of a run that is alone; 0: every core this process may use
  std::vector<std::string> providers;  // ONNX Runtime's names, most wanted first; empty: the CPU
  std::map<std::string, OrtConfig> provider_options;  // by provider, all of which are in providers
  OrtConfig session_config;                           // ONNX Runtime's session config entries
};

}  // namespace inferkit
