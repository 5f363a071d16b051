#include "batch/parts.h"

#include <cstring>

#include "base/error.h"
#include "memory/tensor.h"

namespace inferkit {
namespace {

std::size_t row_bytes(const TensorView& view) noexcept {
  Shape row = view.shape;
  row[0] = 1;
  return checked_bytes(view.dtype, row.dims()).value_or(0);
}

// The shape of output `i` over all parts.
TensorView whole(std::span<const Part> ran, std::size_t i) {
  TensorView view = ran.front().result->outputs()[i].view;
  view.shape[0] = 0;
  for (const Part& part : ran) {
    Shape shape = part.result->outputs()[i].view.shape;
    shape[0] = view.shape[0];
    if (shape != view.shape) {
      fail(ErrorCode::backend, "output number ", i, " has another shape in row ", view.shape[0],
           " than in those before: ", to_string(part.result->outputs()[i].view.shape), " beside ",
           to_string(ran.front().result->outputs()[i].view.shape));
    }
    view.shape[0] += part.rows;
  }
  return view;
}

}  // namespace

ResultRef join(std::span<const Part> ran, TensorPool& pool) {
  std::vector<TensorView> views;
  for (std::size_t i = 0; i < ran.front().result->outputs().size(); ++i) {
    views.push_back(whole(ran, i));
  }
  ResultRef joined = ResultRef::adopt(BatchResult::create(pool, views));
  for (std::size_t i = 0; i < views.size(); ++i) {
    std::byte* at = joined->outputs()[i].view.data;
    const std::size_t bytes = row_bytes(views[i]);
    for (const Part& part : ran) {
      const std::byte* from = part.result->outputs()[i].view.data;
      if (bytes != 0) std::memcpy(at, from + part.first_row * bytes, part.rows * bytes);
      at += part.rows * bytes;
    }
  }
  for (const Part& part : ran) joined->rows += part.rows;
  joined->requests = 1;
  joined->ran_on = ran.back().result->ran_on;
  joined->claimed = ran.front().result->claimed;
  joined->started = ran.front().result->started;
  joined->finished = ran.back().result->finished;
  return joined;
}

}  // namespace inferkit
