// How threads that make one short call after the other take turns with the GIL.
#pragma once

#include "base/clock.h"
#include "bindings/gil.h"

namespace inferkit {

// Whether a turn goes on, in which the GIL is kept for short runs (docs/adr/0014): for 100 us after
// an EndOfTurn, so never where calls come more rarely.
[[nodiscard]] bool may_keep_gil(TimeNs now) noexcept;

// As ReleaseGil, for a short run. A turn begins afterwards, when those have had theirs who came
// before: only one asks for the GIL, the others stand in line. Where that one waits long for it,
// because other Python code computes, all ask at once for a while, and stay away for 100 us before.
// Blocks: for the place in the line, or so long, and the GIL.
class EndOfTurn {
 public:
  explicit EndOfTurn(const Clock& clock) noexcept : begin_{clock} {}
  ~EndOfTurn() noexcept(false);
  EndOfTurn(const EndOfTurn&) = delete;
  EndOfTurn& operator=(const EndOfTurn&) = delete;

 private:
  struct Begin {
    explicit Begin(const Clock& steady) : clock(steady) {}
    ~Begin();
    Begin(const Begin&) = delete;
    Begin& operator=(const Begin&) = delete;

    const Clock& clock;
    bool first_in_line = false;
    TimeNs asked = 0;  // for the GIL
  };

  Begin begin_;  // before the next: destroyed when the GIL is there again
  ReleaseGil released_;
};

}  // namespace inferkit
