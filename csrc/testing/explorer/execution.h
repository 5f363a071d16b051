// One run of a program: its threads, what is in memory, and who may know of it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "testing/explorer/chooser.h"
#include "testing/explorer/fiber.h"
#include "testing/explorer/site.h"
#include "testing/explorer/view.h"

namespace inferkit::explorer {

// A few threads over shared objects that are templated on Atom, made anew for every run. It must
// depend on nothing but the choices made for it: no real time, no addresses.
// Threads: made and checked (after every thread has come to its end) by the one that explores;
// run(i) is fiber i. Blocks: by Atom::wait only. Throws: nothing out of run().
class Program {
 public:
  virtual ~Program() = default;
  [[nodiscard]] virtual std::size_t threads() const = 0;
  virtual void run(std::size_t thread) = 0;
  virtual void check() = 0;
};

// Every write to an atomic variable, in the order of its modification.
struct Message {
  std::uint64_t value = 0;
  View view;  // what who reads it with acquire knows then
};
struct Location {
  std::vector<Message> history;    // the first one: what the set-up left
  std::uint32_t last_seq_cst = 0;  // newest message that a seq_cst operation wrote or saw
};

// What is to be tried.
struct Settings {
  std::optional<Mutation> mutation{};
  std::uint32_t counts_from = 0;  // where counters start that may wrap
  std::ostream* trace = nullptr;  // told of every step
};

// What was seen, in all runs.
struct Seen {
  Sites sites;
  std::map<std::string_view, std::uint64_t> reached;  // by reached(): in how many runs
};

// What an operation does at its place.
struct Access {
  std::memory_order order = std::memory_order_relaxed;
  bool blind = false;  // Mutation::Kind::blind
};

// Memory after C++20, with less freedom in three things: a thread's operations are made in program
// order, a write takes its place in the modification order as it is made, and so do seq_cst
// operations in theirs. A load may see any write that its thread need not know to be overwritten, a
// failing compare-and-exchange too; a read-modify-write sees the newest. There are no fences.
// Threads: one system thread; the program's are fibers, switched before each atomic operation, so
// it must hold no lock over one. Owns: the program. Throws: what Program's set-up throws.
class Execution {
 public:
  Execution(Chooser& chooser, const Settings& settings, Seen& seen)
      : chooser_(chooser), settings_(settings), seen_(seen) {}

  // Empty: nothing went wrong. Otherwise what did; then the program is not destroyed, because its
  // threads stand somewhere in the middle.
  [[nodiscard]] std::string run(const std::function<std::unique_ptr<Program>()>& make);

  // The run that goes on now; null outside of one.
  [[nodiscard]] static Execution* current() noexcept;
  // Null also where nothing can come between: in the set-up, which is over before any thread
  // starts, and in check().
  [[nodiscard]] static Execution* concurrent() noexcept;

  // --- for atomics ---------------------------------------------------------------------------
  [[nodiscard]] Access access_at(const std::source_location& at, Operation operation,
                                 std::memory_order named, bool on_failure = false);
  std::uint64_t load(Location& location, std::uint32_t& id, const Access& access);
  void store(Location& location, std::uint32_t& id, std::uint64_t value, const Access& access);
  // f(newest) -> what to write.
  template <class F>
  std::uint64_t modify(Location& location, std::uint32_t& id, const Access& access, F f) {
    step(id);
    const std::uint64_t before = location.history.back().value;
    read(location, id, newest(location), access.order);
    write(location, id, f(before), access.order, &location.history.back().view);
    return access.blind ? location.history.front().value : before;
  }
  // True: exchanged. Otherwise `expected` is what was seen.
  bool compare_exchange(Location& location, std::uint32_t& id, std::uint64_t& expected,
                        std::uint64_t desired, bool weak, const Access& success,
                        const Access& failure);

  // --- for waits ------------------------------------------------------------------------------
  void wait(Location& location, std::uint32_t& id, std::uint64_t expected, TimeNs until,
            const Access& access);
  void wake(const Location& location, int count);
  void pause();
  [[nodiscard]] TimeNs now() const noexcept { return now_; }
  void take_time(DurationNs time) noexcept { now_ += time; }  // who sleeps is late to notice

  // --- for plain data and for programs --------------------------------------------------------
  [[nodiscard]] std::size_t thread() const noexcept { return running_; }
  [[nodiscard]] const View& view() const noexcept { return threads_[running_].now; }
  [[nodiscard]] std::uint32_t counts_from() const noexcept { return settings_.counts_from; }
  void reached(std::string_view what) { ++seen_.reached[what]; }
  // Ends the run: does not return.
  void fail(std::string what);

 private:
  static constexpr std::uint32_t kMostSteps = 20'000;

  enum class State : std::uint8_t { ready, waiting, ended };
  struct Thread {
    Fiber fiber;
    State state = State::ready;
    bool paused = false;  // has nothing to do until another has done something
    const Location* sleeps_on = nullptr;
    TimeNs until = kNever;
    View now;                 // what it knows
    std::source_location at;  // of its operation
  };

  static void enter();
  void go_on_elsewhere(Cost cost);
  void switch_to(std::size_t thread);
  void step(std::uint32_t& id);
  [[nodiscard]] static std::uint32_t newest(const Location& location) noexcept {
    return static_cast<std::uint32_t>(location.history.size() - 1);
  }
  void read(Location& location, std::uint32_t id, std::uint32_t message, std::memory_order order);
  void write(Location& location, std::uint32_t id, std::uint64_t value, std::memory_order order,
             const View* continued);
  void tell(const char* what, std::uint64_t value, std::uint32_t newer) const;
  [[nodiscard]] std::uint32_t oldest_for(const Location& location, std::uint32_t id,
                                         std::memory_order order) const;

  Chooser& chooser_;
  const Settings& settings_;
  Seen& seen_;
  std::unique_ptr<Program> program_;
  std::array<Thread, kMaxThreads> threads_;  // the last one sets up and checks
  std::size_t count_ = 0;
  std::size_t running_ = kMaxThreads - 1;
  std::uint32_t locations_ = 0;
  std::uint32_t steps_ = 0;
  TimeNs now_ = kMillisecond;
  std::string failure_;
  bool over_ = true;  // no thread of the program stands anywhere
};

}  // namespace inferkit::explorer
