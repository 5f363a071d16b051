#include "testing/scripted_answer.h"

#include <cstring>
#include <memory>

#include "base/error.h"

namespace inferkit {
namespace {

// Calls work.operator()<T>() with the C++ type of the elements.
template <class Work>
void with_type(DType dtype, const Work& work) {
  switch (dtype) {
    case DType::float32:
      return work.template operator()<float>();
    case DType::float64:
      return work.template operator()<double>();
    case DType::boolean:
      return work.template operator()<bool>();
    case DType::uint8:
      return work.template operator()<std::uint8_t>();
    case DType::int8:
      return work.template operator()<std::int8_t>();
    case DType::uint16:
      return work.template operator()<std::uint16_t>();
    case DType::int16:
      return work.template operator()<std::int16_t>();
    case DType::uint32:
      return work.template operator()<std::uint32_t>();
    case DType::int32:
      return work.template operator()<std::int32_t>();
    case DType::uint64:
      return work.template operator()<std::uint64_t>();
    case DType::int64:
      return work.template operator()<std::int64_t>();
    case DType::float16:
      break;
  }
  fail(ErrorCode::backend, "the scripted backend has no arithmetic for ", dtype_name(dtype));
}

std::size_t elements(const Shape& shape) noexcept {
  std::size_t count = 1;
  for (const std::int64_t dim : shape.dims()) count *= static_cast<std::size_t>(dim);
  return count;
}

std::vector<double> read(const TensorView& view) {
  std::vector<double> values(elements(view.shape));
  with_type(view.dtype, [&]<class T>() {
    for (std::size_t i = 0; i < values.size(); ++i) {
      T value{};
      std::memcpy(&value, view.data + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(value);
    }
  });
  return values;
}

void write(const TensorView& view, const std::vector<double>& values) {
  with_type(view.dtype, [&]<class T>() {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T value = static_cast<T>(values[i]);
      std::memcpy(view.data + i * sizeof(T), &value, sizeof(T));
    }
  });
}

Shape result_shape(const TensorSpec& spec, std::span<const TensorView> inputs) {
  Shape shape = spec.shape;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] >= 0) continue;
    const bool known = !inputs.empty() && axis < inputs[0].shape.rank();
    shape[axis] = known ? inputs[0].shape[axis] : 1;
  }
  return shape;
}

// A block that frees itself.
BlockRef allocate(std::size_t bytes) {
  auto block = std::make_unique<Block>();
  auto memory = std::make_unique<std::byte[]>(bytes);
  block->size_bytes = bytes;
  block->recycle = [](Block* dead) noexcept {
    delete[] dead->data;
    delete dead;
  };
  block->refs.store(1, std::memory_order_relaxed);
  block->data = memory.release();
  return BlockRef::adopt(block.release());
}

void place(const TensorSpec& spec, const Shape& shape, OutputSlot& slot) {
  if (slot.view.data == nullptr) {
    slot.owner = allocate(checked_bytes(spec.dtype, shape.dims()).value_or(0));
    slot.view = {spec.dtype, shape, slot.owner.data()};
  } else if (slot.view.dtype != spec.dtype || !(slot.view.shape == shape)) {
    fail(ErrorCode::backend, "output '", spec.name, "' was bound as ", to_string(slot.view.shape),
         " and is ", to_string(shape));
  }
}

}  // namespace

void answer(const Signature& signature, std::span<const TensorView> inputs,
            std::span<OutputSlot> outputs) {
  std::vector<std::vector<double>> terms;
  for (const TensorView& input : inputs) terms.push_back(read(input));
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const TensorSpec& spec = signature.outputs[k];
    const Shape shape = result_shape(spec, inputs);
    place(spec, shape, outputs[k]);
    std::vector<double> values(elements(shape));
    for (std::size_t i = 0; i < values.size(); ++i) {
      double sum = 0;
      for (const auto& term : terms) sum += term.empty() ? 0 : term[i % term.size()];
      values[i] = 2 * sum + 1 + static_cast<double>(k);
    }
    write(outputs[k].view, values);
  }
}

std::vector<double> first_of_rows(const TensorView& view) {
  if (view.dtype == DType::float16) return {};
  const std::vector<double> all = read(view);
  const std::size_t rows = view.shape.rank() == 0 ? 1 : static_cast<std::size_t>(view.shape[0]);
  std::vector<double> first;
  if (all.empty()) return first;
  for (std::size_t row = 0; row < rows; ++row) first.push_back(all[row * (all.size() / rows)]);
  return first;
}

}  // namespace inferkit
