// Rows of many requests into the tensors of one run, and the shapes of its outputs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "batch/payload.h"
#include "batch/signature.h"
#include "memory/block.h"
#include "memory/tensor.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// One request's share of a batch.
struct Rider {
  std::byte* payload = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t first_row = 0;  // of its payload, where it rides in parts
};

// Stateless. Threads: any, outside the token and the GIL. Blocks: copies.
// A batch of one rider is bound where its snapshot lies; more are copied side by side into one
// block of `pool`, every byte of which is written. A batch without rows gets one row of zeros,
// since not every kernel takes none; its result rows are never shown.
// Returns the gathered block, empty when nothing was copied. Throws: Error when the pool is full.
[[nodiscard]] BlockRef gather(const Signature& signature, std::span<const Rider> riders,
                              TensorPool& pool, std::vector<TensorView>& inputs);

// The outputs of a run over `rows` rows; an output with an open inner dimension keeps -1 there.
void plan_outputs(const Signature& signature, std::uint32_t rows, bool shapes_proven,
                  std::vector<TensorView>& outputs);

}  // namespace inferkit
