// The arithmetic of the scripted backend.
#pragma once

#include <span>
#include <vector>

#include "batch/signature.h"
#include "memory/output_slot.h"
#include "memory/tensor.h"

namespace inferkit {

// Fills every slot as ScriptedBackend's comment says, allocating where a slot has no data.
// Throws: Error(backend) for float16, or a slot whose shape is not the answer's.
void answer(const Signature& signature, std::span<const TensorView> inputs,
            std::span<OutputSlot> outputs);

// The first element of each row; one for a scalar; none where rows are empty.
[[nodiscard]] std::vector<double> first_of_rows(const TensorView& view);

}  // namespace inferkit
