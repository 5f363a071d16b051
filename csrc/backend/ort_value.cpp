#include "backend/ort_value.h"

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
    check(*api_,
          api_->CreateTensorWithDataAsOrtValue(memory, view.data, bytes_of(view), dims.data(),
                                               dims.size(), element_type(view.dtype), value_.out()),
          ErrorCode::backend, "wrap a tensor");
    made_for_ = view;
  }
  return value_.get();
}

void adopt(const Api& api, Handle<Value> value, OutputSlot& slot) {
  const Shape shape = shape_of(api, value.get(), slot.view.dtype);
  void* data = nullptr;
  must(api, api.GetTensorMutableData(value.get(), &data));
  auto foreign = std::make_unique<ForeignBlock>(std::move(value));
  foreign->block.data = static_cast<std::byte*>(data);
  foreign->block.size_bytes = checked_bytes(slot.view.dtype, shape.dims()).value_or(0);
  foreign->block.recycle = &ForeignBlock::recycle;
  foreign->block.owner = foreign.get();
  foreign->block.refs.store(1, std::memory_order_relaxed);  // published by whoever shares it
  slot.view.shape = shape;
  slot.view.data = foreign->block.data;
  slot.owner = BlockRef::adopt(&foreign.release()->block);
}

}  // namespace inferkit::ort
