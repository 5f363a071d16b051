// Made-up rows for a model, and the comparison of what it made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "batch/signature.h"

namespace inferkit {

// What a made-up row is like. Only floating point has other values than the usual; zeros are zeros
// in every type.
struct ProbeRow {
  enum class Values : std::uint8_t { usual, zeros, large, infinite, not_a_number };
  std::uint64_t seed = 1;
  Values values = Values::usual;
};

// Runs a model on rows of deterministic values. The usual ones: [-1, 1] for floating point;
// integers are all 1 in rows of an odd seed, all 0 in the others.
// Open inner dimensions are set to kOpenDim.
// Threads: one. Blocks: for the runs. Owns: the probe's inputs. Throws: what Backend::run throws.
class Probe {
 public:
  static constexpr std::int64_t kOpenDim = 8;

  Probe(Backend& backend, const Signature& signature) : backend_(backend), signature_(signature) {}

  // The outputs are allocated by the backend.
  [[nodiscard]] std::vector<OutputSlot> run(const std::vector<ProbeRow>& rows, bool alone,
                                            RunLimits* limits = nullptr);

 private:
  Backend& backend_;
  const Signature& signature_;
  std::vector<std::vector<std::byte>> bytes_;
};

// Largest |a - b| between row `row` of `batch` and the only row of `solo`, as a share of the
// largest |value| of the solo row; 0 for equal rows. Integers and booleans differ by 1 or not.
[[nodiscard]] double row_difference(const TensorView& batch, std::size_t row,
                                    const TensorView& solo);

// What rows may differ by and still count as independent.
[[nodiscard]] double row_tolerance(DType dtype) noexcept;

}  // namespace inferkit
