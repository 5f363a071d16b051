// The open dimensions that a request chose: the key of its lane.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "batch/signature.h"
#include "memory/tensor.h"

namespace inferkit {

// Kept apart from the payload, which a canceller may free while the token holder still looks for
// the lane. Owns: its dimensions; the heap is used only by models with more than kInline of them.
class LaneDims {
 public:
  static constexpr std::size_t kInline = 6;

  void assign(const Signature& signature, std::span<const TensorView> inputs) {
    count_ = signature.lane_dims.size();
    if (count_ > kInline && !more_) more_ = std::make_unique<std::int64_t[]>(count_);
    std::int64_t* at = count_ > kInline ? more_.get() : few_.data();
    for (const OpenDim& open : signature.lane_dims) *at++ = inputs[open.input].shape[open.axis];
  }

  [[nodiscard]] std::span<const std::int64_t> view() const noexcept {
    return {count_ > kInline ? more_.get() : few_.data(), count_};
  }

 private:
  std::size_t count_ = 0;
  std::array<std::int64_t, kInline> few_{};
  std::unique_ptr<std::int64_t[]> more_;
};

}  // namespace inferkit
