// Whether the rows of a batch know each other.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "batch/signature.h"
#include "engine/probe.h"

namespace inferkit {

struct RowCheck {
  std::string trouble;  // why rows must not travel together; empty: they may
  std::string note;     // what could not be tried
};

// Runs rows together and alone, and compares: ordinary rows that differ, rows that repeat, rows of
// zeros; then an ordinary row beside huge values, and beside infinities and NaN, for some graphs
// mix rows for such only (a scale by the largest value, bounded below). Those last runs are held to
// a multiple of what the ordinary ones took; a model that will not do them is not refused for it.
// Blocks: for the runs. Throws: what the model throws at ordinary rows.
[[nodiscard]] RowCheck check_rows(Probe& probe, const Signature& signature, const Clock& clock);

// Empty when every output has the declared shape for so many rows.
[[nodiscard]] std::string shape_trouble(const Signature& signature,
                                        const std::vector<OutputSlot>& outputs, std::size_t rows);

}  // namespace inferkit
