#include "batch/assembler.h"

#include <algorithm>
#include <cstring>

namespace inferkit {
namespace {

constexpr std::size_t align_up(std::size_t bytes) noexcept {
  return (bytes + Payload::kAlignment - 1) & ~(std::size_t{Payload::kAlignment} - 1);
}

std::size_t bytes_of(const TensorView& view) noexcept {
  return checked_bytes(view.dtype, view.shape.dims()).value_or(0);
}

}  // namespace

BlockRef gather(const Signature& signature, std::span<const Rider> riders, TensorPool& pool,
                std::vector<TensorView>& inputs) {
  inputs.clear();
  std::uint32_t rows = 0;
  for (const Rider& rider : riders) rows += rider.rows;
  const Payload first(signature, riders.front().payload);
  const auto count = static_cast<std::uint32_t>(signature.inputs.size());
  if (riders.size() == 1 && rows > 0) {
    for (std::uint32_t i = 0; i < count; ++i)
      inputs.push_back(first.input(i, rows, riders.front().first_row));
    return {};
  }
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    inputs.push_back(first.input(i, std::max(rows, 1U)));
    total += align_up(bytes_of(inputs[i]));
  }
  BlockRef block = pool.allocate(total);
  std::byte* at = block.data();
  for (std::uint32_t i = 0; i < count; ++i) {
    inputs[i].data = at;
    const std::size_t bytes = bytes_of(inputs[i]);
    const std::size_t row_bytes = bytes / std::max(rows, 1U);
    if (rows == 0) std::memset(at, 0, bytes);
    for (const Rider& rider : riders) {
      if (rider.rows == 0) continue;
      const std::size_t share = row_bytes * rider.rows;
      const std::byte* from = Payload(signature, rider.payload).data(i);
      std::memcpy(at, from + row_bytes * rider.first_row, share);
      at += share;
    }
    at = block.data() + align_up(static_cast<std::size_t>(inputs[i].data - block.data()) + bytes);
  }
  return block;
}

void plan_outputs(const Signature& signature, std::uint32_t rows, bool shapes_proven,
                  std::vector<TensorView>& outputs) {
  outputs.clear();
  for (const TensorSpec& spec : signature.outputs) {
    TensorView view{spec.dtype, spec.shape, nullptr};
    if (signature.batched) {
      view.shape[0] = shapes_proven ? static_cast<std::int64_t>(std::max(rows, 1U)) : -1;
    } else if (!shapes_proven && view.shape.rank() > 0) {
      view.shape[0] = -1;
    }
    outputs.push_back(view);
  }
}

}  // namespace inferkit
