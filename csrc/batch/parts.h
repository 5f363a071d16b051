// What a request with more rows than one batch takes has got so far.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "batch/batch_result.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// The rows of one run that belong to one request.
struct Part {
  ResultRef result;
  std::uint32_t first_row = 0;
  std::uint32_t rows = 0;
};

// A request with parts rides in one batch after the other, in order, under one deadline and one
// cancel; between two of them it is queued again, behind what came meanwhile.
// Threads: like the record's plain fields: whoever holds its queue side. Owns: the results so far.
struct Parts {
  // Throws: std::bad_alloc.
  Parts(std::uint32_t rows, std::uint32_t most_each) : rows(rows) { split(most_each); }

  // What is left, into as few parts as can be; they differ by one row at most.
  void split(std::uint32_t most_each) {
    count_left = (rows_left() - 1) / most_each + 1;
    ran.reserve(ran.size() + count_left);  // so that a run's end allocates nothing
  }
  [[nodiscard]] std::uint32_t rows_left() const noexcept { return rows - done; }
  [[nodiscard]] std::uint32_t next_rows() const noexcept {
    return (rows_left() + count_left - 1) / count_left;
  }
  void take(Part part) {
    done += part.rows;
    --count_left;
    ran.push_back(std::move(part));
  }

  std::uint32_t rows = 0;
  std::uint32_t done = 0;  // rows
  std::uint32_t count_left = 0;
  std::vector<Part> ran;
};

// One result of all rows, in order; `ran` is not empty. Its first times are the first part's, its
// last the last one's. Throws: Error when the pool is full, or when a model gave parts that do not
// fit together.
[[nodiscard]] ResultRef join(std::span<const Part> ran, TensorPool& pool);

}  // namespace inferkit
