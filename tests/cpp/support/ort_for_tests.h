// The ONNX Runtime that C++ tests use: the file that INFERKIT_TEST_ORT names.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "backend/ort_backend.h"
#include "backend/ort_library.h"

namespace inferkit {

// Null where the variable is not set; the first call says so.
inline OrtLibrary* library_for_tests() {
  static const char* const path = [] {
    const char* const named = std::getenv("INFERKIT_TEST_ORT");
    if (named == nullptr) {
      std::puts("tests of ONNX Runtime skipped: INFERKIT_TEST_ORT names no libonnxruntime");
    }
    return named;
  }();
  return path == nullptr ? nullptr : &OrtLibrary::open(path);
}

inline OrtModel as_model(const std::string& bytes) {
  return {"", std::as_bytes(std::span(bytes.data(), bytes.size()))};
}

}  // namespace inferkit
