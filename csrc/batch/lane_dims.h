// The open dimensions that a request chose: the key of its lane.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "batch/signature.h"
#include "memory/tensor.h"

namespace inferkit {

// Kept apart from the payload, which a canceller may free while the token holder still looks for
// the lane. Owns: its dimensions; the heap is used only by models with more than kInline of them.
class LaneDims {
 public:
  static constexpr std::size_t kInline = 6;

  // False: no memory, and nothing is kept.
  [[nodiscard]] bool assign(const Signature& signature,
                            std::span<const TensorView> inputs) noexcept {
    const std::size_t count = signature.lane_dims.size();
    if (count > kInline && !more_) more_.reset(new (std::nothrow) std::int64_t[count]);
    std::int64_t* at = count > kInline ? more_.get() : few_.data();
    count_ = at == nullptr ? 0 : count;
    if (at == nullptr) return false;
    for (const OpenDim& open : signature.lane_dims) *at++ = inputs[open.input].shape[open.axis];
    return true;
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
