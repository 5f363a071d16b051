// Opening ONNX Runtime's shared library and asking it for its table.
#pragma once

#include <cstdint>
#include <string>

#include "backend/ort_abi.h"

namespace inferkit::ort {

struct SharedObject {
  std::string path;
  std::string version;    // "1.31.1", as the library says it
  std::uint32_t api = 0;  // 31: the highest interface version that it offers
  Api slots;
};

// Maps the library at `path` for the rest of the process (its symbols stay private to it) and
// reads the slots we use. Creates no env and starts no thread.
// Threads: any. Blocks: maps the file. Throws: Error(runtime_not_found) if the file cannot be
// mapped (with the loader's reason), is no ONNX Runtime, is too old, or lacks a slot.
[[nodiscard]] SharedObject open_shared_object(const std::string& path);

// 31 for "1.31.1"; 0 for what is not a version 1.x.
[[nodiscard]] std::uint32_t api_of_version(const std::string& version) noexcept;

}  // namespace inferkit::ort
