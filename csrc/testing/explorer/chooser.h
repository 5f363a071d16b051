// Who decides what a run leaves open: whose step is next, which write a load sees, whether a
// sleeper wakes for nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace inferkit::explorer {

// What it takes not to go the first of several ways.
enum class Cost : std::uint8_t {
  none,        // the thread blocks or has ended: somebody else must go on
  preemption,  // the thread could have gone on
  stale,       // a newer write was there to be read
  spurious,    // a wake or a failure without a reason, a time-out before its time
};
inline constexpr std::size_t kCosts = 4;

// Remembers what it chose: described() goes into a test's output, and Replay makes it again.
// Threads: one.
class Chooser {
 public:
  virtual ~Chooser() = default;

  void begin() {  // of a run
    path_.clear();
    start();
  }
  // 0 to options - 1; 0 is what a machine in no hurry would do.
  [[nodiscard]] std::uint32_t choose(std::uint32_t options, Cost cost) {
    return options < 2 ? 0 : remember(pick(options, cost));
  }
  // An index into `threads`, the first of which runs now where it can.
  [[nodiscard]] std::uint32_t choose_thread(std::span<const std::uint32_t> threads, Cost cost) {
    return threads.size() < 2 ? 0 : remember(pick_thread(threads, cost));
  }
  // Whether there is another run to make.
  [[nodiscard]] virtual bool advance() = 0;
  [[nodiscard]] std::string described() const;

 protected:
  virtual void start() = 0;
  [[nodiscard]] virtual std::uint32_t pick(std::uint32_t options, Cost cost) = 0;
  [[nodiscard]] virtual std::uint32_t pick_thread(std::span<const std::uint32_t> threads,
                                                  Cost cost) {
    return pick(static_cast<std::uint32_t>(threads.size()), cost);
  }

 private:
  std::uint32_t remember(std::uint32_t chosen) {
    path_.push_back(chosen);
    return chosen;
  }

  std::vector<std::uint32_t> path_;
};

// How often a run may leave the first way.
struct Budget {
  std::uint32_t preemptions = 2;
  std::uint32_t stale = 1;
  std::uint32_t spurious = 1;
};

// Every run within the budget, depth first (iterative context bounding; Musuvathi and Qadeer, PLDI
// 2007).
class DepthFirst final : public Chooser {
 public:
  explicit DepthFirst(const Budget& budget) : budget_(budget) {}
  [[nodiscard]] bool advance() override;

 protected:
  void start() override;
  [[nodiscard]] std::uint32_t pick(std::uint32_t options, Cost cost) override;

 private:
  struct Step {
    std::uint32_t chosen;
    std::uint32_t options;
  };

  const Budget budget_;
  std::array<std::uint32_t, kCosts> left_{};
  std::vector<Step> steps_;
  std::size_t depth_ = 0;
};

// Runs by the dice, each switching often.
class Dice : public Chooser {
 public:
  Dice(std::uint64_t seed, std::uint64_t runs) : seed_(seed), runs_(runs) {}
  [[nodiscard]] bool advance() override { return ++run_ < runs_; }

 protected:
  void start() override { dice_.seed(seed_ + run_); }
  [[nodiscard]] std::uint32_t pick(std::uint32_t options, Cost cost) override;
  [[nodiscard]] std::uint32_t roll(std::uint32_t sides) {
    return static_cast<std::uint32_t>(dice_() % sides);
  }

 private:
  const std::uint64_t seed_;
  const std::uint64_t runs_;
  std::uint64_t run_ = 0;
  std::mt19937_64 dice_;
};

// Threads have random priorities, and at few random steps the one that runs becomes the least
// (PCT; Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010). Loads and wakes by the dice.
class Pct final : public Dice {
 public:
  Pct(std::uint64_t seed, std::uint64_t runs) : Dice(seed, runs) {}

 protected:
  void start() override;
  [[nodiscard]] std::uint32_t pick_thread(std::span<const std::uint32_t> threads,
                                          Cost cost) override;

 private:
  static constexpr std::size_t kChanges = 3;

  std::vector<std::uint32_t> priorities_;
  std::array<std::uint32_t, kChanges> changes_{};  // at which steps
  std::uint32_t least_ = 0;
  std::uint32_t step_ = 0;
  std::uint32_t longest_ = 32;  // steps of a run so far
};

// Makes the choices again that described() told of.
class Replay final : public Chooser {
 public:
  explicit Replay(const std::string& described);
  [[nodiscard]] bool advance() override { return false; }

 protected:
  void start() override { depth_ = 0; }
  [[nodiscard]] std::uint32_t pick(std::uint32_t options, Cost cost) override;

 private:
  std::vector<std::uint32_t> wanted_;
  std::size_t depth_ = 0;
};

}  // namespace inferkit::explorer
