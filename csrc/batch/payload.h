// The snapshot of a request's inputs: one pool block from submit until its run returned.
#pragma once

#include <cstdint>
#include <span>

#include "batch/signature.h"
#include "memory/block.h"
#include "memory/tensor.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// Reads a payload block: [lane dims][offset of each input][bytes of each input, 64-aligned].
// Owns: nothing.
class Payload {
 public:
  Payload(const Signature& signature, std::byte* data) noexcept
      : signature_(&signature), data_(data) {}

  [[nodiscard]] std::span<const std::int64_t> lane_dims() const noexcept {
    return {reinterpret_cast<const std::int64_t*>(data_), signature_->lane_dims.size()};
  }
  // `rows` rows of the input as the request brought it, from `first` on.
  [[nodiscard]] TensorView input(std::uint32_t index, std::uint32_t rows,
                                 std::uint32_t first = 0) const noexcept;

  // Only where its bytes are.
  [[nodiscard]] std::byte* data(std::uint32_t index) const noexcept {
    const auto* offsets = reinterpret_cast<const std::uint64_t*>(data_);
    return data_ + offsets[signature_->lane_dims.size() + index];
  }

  static constexpr std::size_t kAlignment = 64;

 private:
  const Signature* signature_;
  std::byte* data_;
};

// What a request will cost, known before anything is taken or copied.
struct PayloadPlan {
  std::uint32_t rows = 0;   // 1 for a model that is not batched
  std::uint64_t bytes = 0;  // of the payload block
  std::uint64_t lane_hash = 0;
};

// As many as max_batch_size can be; more would be parts without end.
inline constexpr std::int64_t kMaxRequestRows = std::int64_t{1} << 20;

// Checks dtype, rank, dimensions and rows of every input against the signature, in its order.
// Throws: Error(invalid_input) naming input, expected and actual.
[[nodiscard]] PayloadPlan check_inputs(const Signature& signature,
                                       std::span<const TensorView> inputs);

// Copies checked, C-contiguous inputs into `block` (plan.bytes long).
void write_payload(const Signature& signature, std::span<const TensorView> inputs,
                   std::byte* block) noexcept;

}  // namespace inferkit
