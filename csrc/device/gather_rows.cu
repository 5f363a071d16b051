#include "device/gather_rows.h"

// Grid: x tiles of each row, y rows; any size of either does. `rows` and what it points to are
// readable from the device. extern "C": found by this name in the module.
extern "C" __global__ void inferkit_gather_rows(const inferkit::GatherRow* rows,
                                                std::size_t row_count, std::byte* destination) {
  const std::size_t worker = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::size_t workers = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t row = blockIdx.y; row < row_count; row += gridDim.y) {
    inferkit::gather_row(rows[row], destination, worker, workers);
  }
}
