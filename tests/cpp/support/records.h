// Request records for tests below the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "batch/request.h"
#include "batch/request_slab.h"
#include "support/views.h"

namespace inferkit::testing {

using Record = Request<StdAtom>;

// A sink that counts its wakes.
class CountingSink final : public Sink<StdAtom> {
 public:
  void wake() noexcept override { ++wakes; }
  int wakes = 0;
};

// What a test asks of a record. `dim` is its one open dimension; records with equal ones may ride
// together.
struct Wish {
  std::uint32_t rows = 1;
  std::int32_t priority = 0;
  TimeNs arrival = 0;
  TimeNs deadline = kNever;
  std::int64_t dim = 8;
  Sink<StdAtom>* sink = nullptr;
};

// Owns: the slab. Records are queued and never given back.
class Records {
 public:
  [[nodiscard]] Record* make(const Wish& wish = {}) {
    Record* record = slab_.take();
    record->rows = wish.rows;
    record->priority = wish.priority;
    record->arrival = wish.arrival;
    record->deadline = wish.deadline;
    record->sink = wish.sink;
    const TensorView input = bare(DType::float32, {wish.rows, wish.dim});
    static_cast<void>(record->lane_dims.assign(signature_, {&input, 1}));
    record->lane_hash = static_cast<std::uint64_t>(wish.dim) * 1'000'003;
    record->lane = nullptr;
    record->open();
    return record;
  }

 private:
  Signature signature_ = signature_of({spec_of("x", DType::float32, {-1, -1})},
                                      {spec_of("y", DType::float32, {-1, -1})});
  RequestSlab<StdAtom> slab_{64};
};

}  // namespace inferkit::testing
