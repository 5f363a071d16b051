// What a request with more rows than one batch takes has got so far.
#pragma once

#include <cstdint>

#include "batch/batch_result.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// A request with parts rides in one batch after the other, in order, under one deadline and one
// cancel; between two of them it is queued again, as if it came then (Lane::put_back()).
// Threads: like the record's plain fields: whoever holds its queue side. Owns: the result so far.
class Parts {
 public:
  Parts(std::uint32_t rows, std::uint32_t most_each) noexcept : rows_(rows) { split(most_each); }

  // What is left, into as few parts as can be; they differ by one row at most.
  void split(std::uint32_t most_each) noexcept { count_left_ = (rows_left() - 1) / most_each + 1; }

  [[nodiscard]] std::uint32_t done() const noexcept { return done_; }
  [[nodiscard]] std::uint32_t rows_left() const noexcept { return rows_ - done_; }
  [[nodiscard]] std::uint32_t next_rows() const noexcept {
    return (rows_left() + count_left_ - 1) / count_left_;
  }

  // Copies `rows` rows of `result`, from `first` on, to where they belong. The first part brings
  // the shapes, so room for all rows is taken then or never. Throws: Error(out_of_memory) when the
  // pool has none, Error(backend) when a model gives parts that do not fit together.
  void take(BatchResult& result, std::uint32_t first, std::uint32_t rows, TensorPool& pool);

  // All rows, once none is left. Its times begin with the first part's and end with the last one's.
  [[nodiscard]] const ResultRef& whole() const noexcept { return whole_; }

  // The request ended: nobody will take what its parts gave. By whoever ended it, while no part
  // runs; the token holder may still count the rows.
  void let_go() noexcept { whole_ = {}; }

 private:
  void open(BatchResult& first, TensorPool& pool);

  std::uint32_t rows_ = 0;
  std::uint32_t done_ = 0;
  std::uint32_t count_left_ = 0;
  ResultRef whole_;
};

}  // namespace inferkit
