// What a model takes and gives, and which requests may share a batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/dtype.h"
#include "memory/tensor.h"

namespace inferkit {

struct TensorSpec {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;                       // -1 where the model leaves the dimension open
  std::vector<std::string> symbols;  // one per dimension, and an empty one where it has no name
};

// A dimension that a request chooses. Two requests share a batch only if all of these agree.
struct OpenDim {
  std::uint32_t input = 0;
  std::uint32_t axis = 0;
};

// Plain data, written while the model is loaded and read-only afterwards.
struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  bool batched = false;            // axis 0 of every tensor counts rows
  std::string reason;              // why not, or how it was found out; shown by explain()
  std::vector<OpenDim> lane_dims;  // open dimensions, the batch axis of a batched model left out
};

// Whether axis 0 is open on every input and output. Fills batched, reason and lane_dims.
void find_batch_axis(Signature& signature);

// Marks the model as served one request at a time and says why.
void refuse_batching(Signature& signature, std::string reason);

}  // namespace inferkit
