#include "batch/parts.h"

#include <cstring>
#include <vector>

#include "base/error.h"
#include "memory/tensor.h"

namespace inferkit {
namespace {

Shape row_of(const TensorView& view) noexcept {
  Shape row = view.shape;
  row[0] = 1;
  return row;
}

}  // namespace

void Parts::open(BatchResult& first, TensorPool& pool) {
  std::vector<TensorView> views;
  for (const OutputSlot& slot : first.outputs()) {
    views.push_back(slot.view);
    views.back().shape[0] = rows_;
  }
  whole_ = ResultRef::adopt(BatchResult::create(pool, views));
  whole_->rows = rows_;
  whole_->requests = 1;
  whole_->claimed = first.claimed;
  whole_->started = first.started;
}

void Parts::take(BatchResult& result, std::uint32_t first, std::uint32_t rows, TensorPool& pool) {
  if (!whole_) open(result, pool);
  for (std::size_t i = 0; i < result.outputs().size(); ++i) {
    const TensorView& part = result.outputs()[i].view;
    const TensorView& all = whole_->outputs()[i].view;
    if (row_of(part) != row_of(all)) {
      fail(ErrorCode::backend, "output number ", i, " has rows of shape ", to_string(row_of(part)),
           " from row ", done_, " on, and of ", to_string(row_of(all)), " before");
    }
    const std::size_t bytes = checked_bytes(all.dtype, row_of(all).dims()).value_or(0);
    if (bytes != 0) std::memcpy(all.data + done_ * bytes, part.data + first * bytes, rows * bytes);
  }
  whole_->ran_on = result.ran_on;
  whole_->finished = result.finished;
  done_ += rows;
  --count_left_;
}

}  // namespace inferkit
