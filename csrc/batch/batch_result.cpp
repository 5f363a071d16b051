#include "batch/batch_result.h"

#include <new>

namespace inferkit {
namespace {

constexpr std::size_t align_up(std::size_t bytes) noexcept {
  return (bytes + 63) & ~std::size_t{63};
}

}  // namespace

BatchResult* BatchResult::create(TensorPool& pool, std::span<const TensorView> known) {
  const std::size_t head = align_up(sizeof(BatchResult));
  std::size_t bytes = align_up(head + known.size() * sizeof(OutputSlot));
  const std::size_t first = bytes;
  for (const TensorView& view : known) {
    bytes += align_up(checked_bytes(view.dtype, view.shape.dims()).value_or(0));
  }
  BlockRef block = pool.allocate(bytes);
  std::byte* at = block.data() + first;
  auto* result = new (block.data()) BatchResult();
  result->slot_count_ = static_cast<std::uint32_t>(known.size());
  OutputSlot* slots = result->slots();
  for (const TensorView& view : known) {
    auto* slot = new (slots++) OutputSlot{view, {}};
    // An open shape is the backend's to allocate.
    const auto size = checked_bytes(view.dtype, view.shape.dims());
    slot->view.data = size ? at : nullptr;
    at += align_up(size.value_or(0));
  }
  result->block_ = block.detach();
  return result;
}

OutputSlot* BatchResult::slots() noexcept {
  return std::launder(reinterpret_cast<OutputSlot*>(reinterpret_cast<std::byte*>(this) +
                                                    align_up(sizeof(BatchResult))));
}

void BatchResult::release() noexcept {
  // release: our reads are done; acquire: the last one sees everybody's before it frees.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (OutputSlot& slot : outputs()) slot.~OutputSlot();
  Block* block = block_;
  this->~BatchResult();
  block->release();
}

}  // namespace inferkit
