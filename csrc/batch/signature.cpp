#include "batch/signature.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace inferkit {
namespace {

void fill_lane_dims(Signature& signature) {
  signature.lane_dims.clear();
  for (std::uint32_t input = 0; input < signature.inputs.size(); ++input) {
    const Shape& shape = signature.inputs[input].shape;
    for (std::uint32_t axis = signature.batched ? 1 : 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 0) signature.lane_dims.push_back({input, axis});
    }
  }
}

// Empty when axis 0 of the tensor may count rows, else why it cannot.
std::string obstacle(const char* side, const TensorSpec& spec) {
  // ONNX Runtime describes the two alike.
  if (spec.shape.rank() == 0) {
    return text(side, " '", spec.name, "' is a scalar, or its rank is not declared");
  }
  if (spec.shape[0] >= 0) {
    return text(side, " '", spec.name, "' has a fixed first dimension of ", spec.shape[0]);
  }
  return {};
}

// Empty, or why an axis cannot count rows whose name another axis has as well.
std::string shared_symbol(const Signature& signature) {
  std::vector<const TensorSpec*> all;
  all.reserve(signature.inputs.size() + signature.outputs.size());
  for (const TensorSpec& spec : signature.inputs) all.push_back(&spec);
  for (const TensorSpec& spec : signature.outputs) all.push_back(&spec);
  for (const TensorSpec* rows : all) {
    const std::string& name = rows->symbols[0];
    for (const TensorSpec* spec : all) {
      for (std::size_t axis = 1; !name.empty() && axis < spec->shape.rank(); ++axis) {
        if (spec->symbols[axis] != name) continue;
        return text("the first dimension of '", rows->name, "', ", name, ", is dimension ", axis,
                    " of '", spec->name, "' too");
      }
    }
  }
  return {};
}

}  // namespace

void find_batch_axis(Signature& signature) {
  std::string reason;
  for (const TensorSpec& spec : signature.inputs) {
    if (reason.empty()) reason = obstacle("input", spec);
  }
  for (const TensorSpec& spec : signature.outputs) {
    if (reason.empty()) reason = obstacle("output", spec);
  }
  if (reason.empty()) reason = shared_symbol(signature);
  if (signature.inputs.empty()) reason = "the model has no inputs";
  if (!reason.empty()) return refuse_batching(signature, std::move(reason));
  signature.batched = true;
  signature.reason = "the first dimension of every input and output is open";
  fill_lane_dims(signature);
}

void refuse_batching(Signature& signature, std::string reason) {
  signature.batched = false;
  signature.reason = std::move(reason);
  fill_lane_dims(signature);
}

}  // namespace inferkit
