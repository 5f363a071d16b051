// One output of one run.
#pragma once

#include "memory/block.h"
#include "memory/tensor.h"

namespace inferkit {

// The engine fills `view.data` when it knows the shape beforehand and wants the result there; else
// the backend allocates, fills `view` and keeps the memory alive through `owner`.
struct OutputSlot {
  TensorView view;
  BlockRef owner;
};

}  // namespace inferkit
