// Named places where a test may make something go wrong. In the release variant: nothing at all.
#pragma once

// INFERKIT_FAILPOINT("room.what"): a statement; does what the test planned, such as throwing.
// INFERKIT_FAILS("room.what"): an expression; true when the test wants this to fail.
#if !defined(INFERKIT_TESTING)

#define INFERKIT_FAILPOINT(name) static_cast<void>(0)
#define INFERKIT_FAILS(name) false

#else

// The point is looked up by whoever comes first, not made in a static's initialisation: a thread
// that forked meanwhile would leave its child waiting for the end of it.
#define INFERKIT_FAILS(name)                                                    \
  ([]() -> bool {                                                               \
    constinit static std::atomic<::inferkit::failpoint::Point*> known{nullptr}; \
    return ::inferkit::failpoint::look_up(known, name).pass();                  \
  }())
#define INFERKIT_FAILPOINT(name) static_cast<void>(INFERKIT_FAILS(name))

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace inferkit::failpoint {

// What happens at a place, and at which of its visits.
struct Plan {
  std::function<void()> action{};  // may throw, where the place may; empty: INFERKIT_FAILS is true
  std::uint64_t skip = 0;          // visits let through first
  std::uint64_t times = ~0ULL;     // then at most so many
  double probability = 1.0;        // of each of these
  std::uint64_t seed = 1;          // of the dice
};

[[nodiscard]] Plan throw_error(ErrorCode code, std::string message);

// Holds visitors until it is opened.
// Threads: any. Blocks: pass() and wait_for_visitors().
class Gate {
 public:
  void pass() noexcept;
  void open() noexcept;
  void wait_for_visitors(std::uint32_t count) noexcept;

 private:
  std::atomic<std::uint32_t> open_{0};
  std::atomic<std::uint32_t> visitors_{0};
};

// The gate outlives the plan.
[[nodiscard]] Plan block_at(Gate& gate);

// A place. Lives for ever. Unarmed, a visit is one atomic increment and one load.
// Threads: any. Blocks and throws: as the plan does.
class Point {
 public:
  explicit Point(std::string name);
  ~Point();

  // True when the plan chose this visit.
  bool pass() {
    // relaxed: a count; and arming is ordered with visits by whatever the test does.
    visits_.fetch_add(1, std::memory_order_relaxed);
    return armed_.load(std::memory_order_acquire) && act();  // acquire: pairs with arm()
  }

  void arm(Plan plan);
  void disarm() noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t visits() const noexcept {
    return visits_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t failures() const noexcept {
    return failures_.load(std::memory_order_relaxed);
  }

 private:
  struct Armed;

  bool act();

  const std::string name_;
  std::atomic<std::uint64_t> visits_{0};
  std::atomic<std::uint64_t> failures_{0};  // visits that the plans chose
  std::atomic<bool> armed_{false};
  std::unique_ptr<Armed> plan_;  // under the mutex inside
};

// The point of that name, made at the first call from code or test.
[[nodiscard]] Point& at(std::string_view name);

[[nodiscard]] inline Point& look_up(std::atomic<Point*>& known, std::string_view name) {
  Point* point = known.load(std::memory_order_acquire);  // pairs with the store of another thread
  if (point == nullptr) {
    point = &at(name);
    known.store(point, std::memory_order_release);
  }
  return *point;
}

// Every point met so far, sorted by name.
[[nodiscard]] std::vector<const Point*> all();

// Arms a point for a scope.
class Scoped {
 public:
  Scoped(std::string_view name, Plan plan) : point_(at(name)) { point_.arm(std::move(plan)); }
  ~Scoped() { point_.disarm(); }
  Scoped(const Scoped&) = delete;
  Scoped& operator=(const Scoped&) = delete;
  [[nodiscard]] Point* operator->() const noexcept { return &point_; }

 private:
  Point& point_;
};

}  // namespace inferkit::failpoint

#endif
