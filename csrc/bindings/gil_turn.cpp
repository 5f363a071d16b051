#include "bindings/gil_turn.h"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/fork_mutex.h"
#include "base/parker.h"

namespace inferkit {
namespace {

constexpr DurationNs kTurn = 100 * kMicrosecond;
// Nobody's turn is so long. Python code that computes gives the GIL away after 5 ms
// (sys.getswitchinterval); in a line all would wait for it, one after the other.
constexpr DurationNs kTooLong = 4 * kMillisecond;
constexpr DurationNs kNoLine = 100 * kMillisecond;
// Without a line, who is woken by the end of a turn finds the GIL gone: whose turn it was is awake.
// So that one stays away for a moment; a caller that is alone when other code has a claim to it.
constexpr DurationNs kWaking = 100 * kMicrosecond;
constexpr DurationNs kShare = 5 * kMillisecond;

// Relaxed: whoever reads an old value keeps the GIL, or stands in line, once too often.
constinit std::atomic<TimeNs> turn_ends{0};
constinit std::atomic<TimeNs> no_line_until{0};
constinit std::atomic<TimeNs> others_due{0};
constinit std::atomic<std::uint32_t> at_their_end{0};  // threads, of a turn

// Threads without the GIL, which only the first of them asks for.
// Threads: any. Blocks: enter(), until those before have left. Nobody asks for the GIL, or runs
// Python code, holding the mutex, and to be the first is no lock: it may never get the GIL.
class Line {
 public:
  // Whether the caller is the first now, who must leave() or dissolve(); no: there is no line.
  [[nodiscard]] bool enter() noexcept {
    Place own;
    {
      const std::lock_guard lock(mutex_);
      if (!has_first_) return has_first_ = true;
      (last_ != nullptr ? last_->behind : next_) = &own;
      last_ = &own;
    }
    for (;;) {
      const std::uint32_t word = own.word.load(std::memory_order_acquire);
      if (word != kWaits) return word == kFirst;
      parker::wait(own.word, kWaits, kNever);
    }
  }

  void leave() noexcept {
    const std::lock_guard lock(mutex_);
    has_first_ = next_ != nullptr;
    if (has_first_) call_next(kFirst);
  }

  void dissolve() noexcept {
    const std::lock_guard lock(mutex_);
    while (next_ != nullptr) call_next(kNoLine);
    has_first_ = false;
  }

  // In a child of fork: the others did not come along. The mutex is free, since forks wait for it.
  void forget() noexcept {
    next_ = last_ = nullptr;
    has_first_ = false;
  }

 private:
  static constexpr std::uint32_t kWaits = 0;
  static constexpr std::uint32_t kFirst = 1;
  static constexpr std::uint32_t kNoLine = 2;

  struct Place {
    std::atomic<std::uint32_t> word{kWaits};
    Place* behind = nullptr;
  };

  void call_next(std::uint32_t word) noexcept {
    Place* next = next_;
    next_ = next->behind;
    if (next_ == nullptr) last_ = nullptr;
    const std::atomic<std::uint32_t>& its_word = next->word;
    next->word.store(word, std::memory_order_release);  // pairs with enter()
    // Its thread may be gone by now, and its stack with it: then nobody is woken, or somebody for
    // nothing.
    parker::wake(its_word, 1);
  }

  ForkMutex mutex_;
  bool has_first_ = false;
  Place* next_ = nullptr;
  Place* last_ = nullptr;
};

Line& line = *new Line;  // never destroyed: threads wait until the very end

[[maybe_unused]] const int watching = pthread_atfork(nullptr, nullptr, [] {
  line.forget();
  at_their_end.store(0, std::memory_order_relaxed);
});

}  // namespace

bool may_keep_gil(TimeNs now) noexcept { return now < turn_ends.load(std::memory_order_relaxed); }

EndOfTurn::~EndOfTurn() noexcept(false) {
  const bool alone = at_their_end.fetch_add(1, std::memory_order_relaxed) == 0;
  // As the interpreter goes down, who is the first may stay it for ever.
  if (unwinding_expected.load(std::memory_order_relaxed)) return;
  begin_.asked = begin_.clock.now();
  if (begin_.asked >= no_line_until.load(std::memory_order_relaxed)) {
    begin_.first_in_line = line.enter();
    begin_.asked = begin_.clock.now();
  } else if (!alone || begin_.asked >= others_due.load(std::memory_order_relaxed)) {
    static const std::atomic<std::uint32_t> nothing{0};
    parker::wait(nothing, 0, begin_.asked + kWaking);
  }
}

EndOfTurn::Begin::~Begin() {
  at_their_end.fetch_sub(1, std::memory_order_relaxed);
  const TimeNs now = clock.now();
  turn_ends.store(now + kTurn, std::memory_order_relaxed);
  if (now - asked > kTooLong) {
    others_due.store(now + kShare, std::memory_order_relaxed);
    no_line_until.store(now + kNoLine, std::memory_order_relaxed);
    if (first_in_line) line.dissolve();
  } else if (first_in_line) {
    line.leave();
  }
}

}  // namespace inferkit
