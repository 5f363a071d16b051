#include "batch/payload.h"

#include <cstring>
#include <limits>
#include <string>

#include "base/error.h"

namespace inferkit {
namespace {

constexpr std::uint64_t align_up(std::uint64_t bytes) noexcept {
  return (bytes + Payload::kAlignment - 1) & ~(std::uint64_t{Payload::kAlignment} - 1);
}

std::uint64_t head_bytes(const Signature& signature) noexcept {
  return align_up((signature.lane_dims.size() + signature.inputs.size()) * sizeof(std::int64_t));
}

// "float32 [batch, 64]", with the model's own names; "rows" where axis 0 has none.
std::string describe(const TensorSpec& spec, bool batched) {
  std::string out(dtype_name(spec.dtype));
  out += " [";
  for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis) {
    if (axis != 0) out += ", ";
    if (spec.shape[axis] >= 0) {
      out += std::to_string(spec.shape[axis]);
    } else if (!spec.symbols[axis].empty()) {
      out += spec.symbols[axis];
    } else {
      out += axis == 0 && batched ? "rows" : "?";
    }
  }
  return out + "]";
}

[[noreturn]] void mismatch(const TensorSpec& spec, bool batched, const TensorView& input,
                           const std::string& detail) {
  fail(ErrorCode::invalid_input, "input '", spec.name, "': expected ", describe(spec, batched),
       ", got ", dtype_name(input.dtype), " ", to_string(input.shape), detail);
}

void check_one(const Signature& signature, std::size_t index, const TensorView& input) {
  const TensorSpec& spec = signature.inputs[index];
  const bool batched = signature.batched;
  if (input.dtype != spec.dtype) mismatch(spec, batched, input, " (wrong dtype)");
  if (input.shape.rank() != spec.shape.rank()) {
    const bool row = batched && input.shape.rank() + 1 == spec.shape.rank();
    if (row) mismatch(spec, batched, input, " (wrong rank; pass one row as x[None])");
    // ONNX Runtime reports an undeclared rank as 0.
    const bool unknown = spec.shape.rank() == 0;
    mismatch(spec, batched, input,
             unknown ? " (wrong rank; the model declares a scalar, or no rank)" : " (wrong rank)");
  }
  for (std::size_t axis = batched ? 1 : 0; axis < spec.shape.rank(); ++axis) {
    if (spec.shape[axis] >= 0 && spec.shape[axis] != input.shape[axis]) {
      mismatch(spec, batched, input, text(" (dimension ", axis, " differs)"));
    }
  }
}

}  // namespace

TensorView Payload::input(std::uint32_t index, std::uint32_t rows,
                          std::uint32_t first) const noexcept {
  const TensorSpec& spec = signature_->inputs[index];
  TensorView view{spec.dtype, spec.shape, nullptr};
  if (signature_->batched) view.shape[0] = rows;
  const std::span<const std::int64_t> dims = lane_dims();
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const OpenDim& open = signature_->lane_dims[i];
    if (open.input == index) view.shape[open.axis] = dims[i];
  }
  view.data = data(index);
  if (first != 0) {
    Shape one_row = view.shape;
    one_row[0] = 1;
    view.data += first * checked_bytes(view.dtype, one_row.dims()).value_or(0);
  }
  return view;
}

PayloadPlan check_inputs(const Signature& signature, std::span<const TensorView> inputs) {
  if (inputs.size() != signature.inputs.size()) {
    fail(ErrorCode::invalid_input, "expected ", signature.inputs.size(), " inputs, got ",
         inputs.size());
  }
  PayloadPlan plan;
  plan.bytes = head_bytes(signature);
  std::int64_t rows = 1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_one(signature, i, inputs[i]);
    Shape runs_as = inputs[i].shape;
    if (signature.batched && runs_as[0] == 0) runs_as[0] = 1;  // no rows run as one row of zeros
    const std::optional<std::size_t> bytes = checked_bytes(inputs[i].dtype, runs_as.dims());
    // Half of the address space each: sums of a few cannot wrap before the budget refuses them.
    if (!bytes || *bytes > (std::uint64_t{1} << 47)) {
      mismatch(signature.inputs[i], signature.batched, inputs[i], " (too many bytes)");
    }
    plan.bytes += align_up(*bytes);
    if (!signature.batched) continue;
    if (i == 0) {
      rows = inputs[0].shape[0];
    } else if (inputs[i].shape[0] != rows) {
      fail(ErrorCode::invalid_input, "input '", signature.inputs[i].name, "': expected ", rows,
           " rows as in input '", signature.inputs[0].name, "', got ", inputs[i].shape[0]);
    }
  }
  if (rows > kMaxRequestRows) {
    fail(ErrorCode::invalid_input, "input '", signature.inputs[0].name, "': expected at most ",
         kMaxRequestRows, " rows in one request, got ", rows);
  }
  plan.rows = static_cast<std::uint32_t>(rows);
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
  for (const OpenDim& open : signature.lane_dims) {
    hash ^= static_cast<std::uint64_t>(inputs[open.input].shape[open.axis]);
    hash *= 0xff51afd7ed558ccdULL;  // an odd constant; equality is checked on the dimensions
    hash ^= hash >> 32;
  }
  plan.lane_hash = hash;
  return plan;
}

void write_payload(const Signature& signature, std::span<const TensorView> inputs,
                   std::byte* block) noexcept {
  auto* dims = reinterpret_cast<std::int64_t*>(block);
  for (const OpenDim& open : signature.lane_dims) *dims++ = inputs[open.input].shape[open.axis];
  auto* offsets = reinterpret_cast<std::uint64_t*>(dims);
  std::uint64_t at = head_bytes(signature);
  for (const TensorView& input : inputs) {
    *offsets++ = at;
    const std::size_t bytes = checked_bytes(input.dtype, input.shape.dims()).value_or(0);
    if (bytes != 0) std::memcpy(block + at, input.data, bytes);
    at += align_up(bytes);
  }
}

}  // namespace inferkit
