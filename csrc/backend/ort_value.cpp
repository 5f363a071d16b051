#include "backend/ort_value.h"

#include <cstring>
#include <memory>
#include <utility>

#include "backend/ort_status.h"
#include "base/error.h"

namespace inferkit::ort {
namespace {

// A block over memory that ONNX Runtime allocated.
struct ForeignBlock {
  explicit ForeignBlock(Handle<Value> taken) noexcept : value(std::move(taken)) {}

  Block block;
  Handle<Value> value;

  static void recycle(Block* block) noexcept { delete static_cast<ForeignBlock*>(block->owner); }
};

// A block that is no more than its bytes.
struct OwnBlock {
  explicit OwnBlock(std::size_t bytes) : memory(std::make_unique<std::byte[]>(bytes)) {}

  Block block;
  std::unique_ptr<std::byte[]> memory;

  static void recycle(Block* block) noexcept { delete static_cast<OwnBlock*>(block->owner); }
};

// The slot shows `data` and keeps its owner, which holds the block.
template <class Owner>
void show(std::unique_ptr<Owner> owner, std::byte* data, const Shape& shape, OutputSlot& slot) {
  Block& block = owner->block;
  block.data = data;
  block.size_bytes = checked_bytes(slot.view.dtype, shape.dims()).value_or(0);
  block.recycle = &Owner::recycle;
  block.owner = owner.get();
  block.refs.store(1, std::memory_order_relaxed);  // published by whoever shares it
  slot.view.shape = shape;
  slot.view.data = data;
  static_cast<void>(owner.release());  // the block's
  slot.owner = BlockRef::adopt(&block);
}

void must(const Api& api, Status* status) {
  check(api, status, ErrorCode::backend, "describe a result");
}

Shape shape_of(const Api& api, const Value* value, DType expected) {
  Handle<TensorInfo> info(api);
  must(api, api.GetTensorTypeAndShape(value, info.out()));
  int type = 0;
  must(api, api.GetTensorElementType(info.get(), &type));
  std::size_t rank = 0;
  must(api, api.GetDimensionsCount(info.get(), &rank));
  if (type != element_type(expected) || rank > kMaxRank) {
    fail(ErrorCode::backend, "a result has element type ", type, " and ", rank,
         " dimensions, unlike what the model declares");
  }
  std::int64_t dims[kMaxRank] = {};
  must(api, api.GetDimensions(info.get(), dims, rank));
  return Shape(std::span<const std::int64_t>(dims, rank));
}

}  // namespace

Value* Borrowed::over(const TensorView& view, const MemoryInfo* memory) {
  const bool same = value_ && made_for_.data == view.data && made_for_.dtype == view.dtype &&
                    made_for_.shape == view.shape;
  if (!same) {
    const auto dims = view.shape.dims();
    Status* const failure =
        api_->CreateTensorWithDataAsOrtValue(memory, view.data, bytes_of(view), dims.data(),
                                             dims.size(), element_type(view.dtype), value_.out());
    if (failure != nullptr) throw take_run_error(*api_, failure);
    made_for_ = view;
  }
  return value_.get();
}

void adopt(const Api& api, Handle<Value> value, OutputSlot& slot) {
  const Shape shape = shape_of(api, value.get(), slot.view.dtype);
  void* data = nullptr;
  must(api, api.GetTensorMutableData(value.get(), &data));
  show(std::make_unique<ForeignBlock>(std::move(value)), static_cast<std::byte*>(data), shape,
       slot);
}

void copy_into(const TensorView& source, OutputSlot& slot) {
  const std::size_t bytes = bytes_of(source);
  auto own = std::make_unique<OwnBlock>(bytes);
  std::byte* data = own->memory.get();
  if (bytes != 0) std::memcpy(data, source.data, bytes);
  show(std::move(own), data, source.shape, slot);
}

}  // namespace inferkit::ort
