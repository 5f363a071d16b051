// What a storm is made of: its weather, its questions, and the books that callers keep.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>

#include "engine/engine.h"
#include "support/customer.h"

namespace inferkit::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed = 0) : random_(seed) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(random_() >> 20); }

 private:
  std::mt19937_64 random_;
};

[[nodiscard]] inline bool one_in(Dice& dice, std::uint32_t n) { return dice() % n == 0; }

// How often things go wrong in one round: one request (or burst, or wait) in so many.
struct Weather {
  std::uint32_t bad = 1, slow = 1, oversize = 1, timed = 1, cancel = 1, impatient = 1, refuse = 1;
  std::uint32_t burst = 1;  // most requests that are queued before a ring
  std::uint32_t held = 1;   // most requests that a caller has out at once

  explicit Weather(Dice& dice) {
    const auto any = [&](std::initializer_list<std::uint32_t> of) {
      return of.begin()[dice() % of.size()];
    };
    bad = any({100, 1'000, 10'000});
    slow = any({5'000, 20'000, 100'000});
    oversize = any({200, 1'000, 10'000});
    timed = any({4, 20, 200});
    cancel = any({10, 50, 500});
    impatient = any({2, 5, 20});
    refuse = any({2, 10, 100});
    burst = any({2, 8, 32, 32});
    held = any({8, 64, 128, 128});
  }
};

// What became of one caller's requests, by its own books. Plain: read when its thread is over.
struct Seen {
  std::uint64_t accepted = 0, refused = 0;
  std::uint64_t answered = 0, failed = 0, planned = 0, expired = 0, cancelled = 0, closed = 0;
  std::uint64_t abandoned = 0;
  std::uint64_t in_parts = 0, reentrant = 0, waited = 0;  // kinds among the accepted
  std::uint64_t wrong = 0;                                // another's result, error or end
  std::uint64_t twice = 0;                                // told of what had ended
  std::uint64_t stuck = 0;                                // patience ran out

  [[nodiscard]] std::uint64_t ended() const {
    return answered + failed + expired + cancelled + closed + abandoned;
  }
  Seen& operator+=(const Seen& other) {
    constexpr std::uint64_t Seen::* kAll[] = {
        &Seen::accepted,  &Seen::refused,   &Seen::answered, &Seen::failed,    &Seen::planned,
        &Seen::expired,   &Seen::cancelled, &Seen::closed,   &Seen::abandoned, &Seen::in_parts,
        &Seen::reentrant, &Seen::waited,    &Seen::wrong,    &Seen::twice,     &Seen::stuck};
    for (const auto each : kAll) this->*each += other.*each;
    return *this;
  }
};

// What one request holds: elements that count up from `first`, but for one that marks a row.
struct Ask {
  float first = 0;
  std::uint32_t rows = 0;
  std::uint32_t marked = 0;  // the row that begins with `mark`, where there is one
  float mark = 0;            // 0, kBad or kSlow

  static Ask any(Dice& dice, const Weather& weather, std::uint32_t most_rows) {
    Ask ask;
    const bool oversize = one_in(dice, weather.oversize);
    ask.rows = oversize ? most_rows + 1 + dice() % most_rows : dice() % 4;
    ask.first = static_cast<float>(dice() % 1'000'000);
    ask.mark = one_in(dice, weather.bad) ? kBad : one_in(dice, weather.slow) ? kSlow : 0;
    ask.marked = ask.rows == 0 ? 0 : dice() % ask.rows;
    return ask;
  }
  [[nodiscard]] bool bad() const { return mark == kBad && rows > 0; }
  [[nodiscard]] std::size_t elements() const { return std::size_t{rows} * kWidth; }
  [[nodiscard]] float element(std::size_t i) const {
    return mark != 0 && i == std::size_t{marked} * kWidth ? mark : first + static_cast<float>(i);
  }
  // Whether `result` holds our rows from `row` on, and nobody else's.
  [[nodiscard]] bool is_answered_by(BatchResult& result, std::uint32_t row) const {
    const TensorView& view = result.outputs()[0].view;
    if (view.shape[0] < std::int64_t{row} + rows) return false;
    const float* y = reinterpret_cast<const float*>(view.data) + std::size_t{row} * kWidth;
    for (std::size_t i = 0; i < elements(); ++i) {
      if (y[i] != 2 * element(i)) return false;
    }
    return true;
  }
};

// One request as its caller remembers it.
struct Ticket {
  std::atomic<bool> out{false};  // asked and not settled; a sink's own are taken by any thread
  EngineRequest* request = nullptr;
  Ask ask;
  TimeNs deadline = kNever;
};

// Results that stay for a while: what they show must not change under their holder.
class Kept {
 public:
  // True when the result that goes for this one still shows its own rows.
  [[nodiscard]] bool keep(const Ask& ask, const ResultRef& result, std::uint32_t row) {
    Old& old = old_[next_++ % old_.size()];
    const bool same = !old.result || old.ask.is_answered_by(*old.result, old.row);
    old = {result, row, ask};
    return same;
  }
  void drop() {
    for (Old& old : old_) old.result = {};
  }

 private:
  struct Old {
    ResultRef result;
    std::uint32_t row = 0;
    Ask ask;
  };

  std::array<Old, 8> old_;
  std::size_t next_ = 0;
};

}  // namespace inferkit::testing
