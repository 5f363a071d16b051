// What a thread knows of the others' writes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inferkit::explorer {

inline constexpr std::size_t kMaxThreads = 8;  // of a program, and the one that sets it up

// For each location the oldest message that may still be read, and for each thread how many of its
// steps happened before. Threads: a value. Joining two views takes the later of each.
class View {
 public:
  [[nodiscard]] std::uint32_t seen(std::uint32_t location) const noexcept {
    return location < seen_.size() ? seen_[location] : 0;
  }
  void see(std::uint32_t location, std::uint32_t message) {
    if (location >= seen_.size()) seen_.resize(location + 1);
    seen_[location] = std::max(seen_[location], message);
  }
  [[nodiscard]] std::uint32_t steps(std::size_t thread) const noexcept { return steps_[thread]; }
  void step(std::size_t thread) noexcept { ++steps_[thread]; }

  void join(const View& other) {
    if (seen_.size() < other.seen_.size()) seen_.resize(other.seen_.size());
    for (std::size_t i = 0; i < other.seen_.size(); ++i) {
      seen_[i] = std::max(seen_[i], other.seen_[i]);
    }
    for (std::size_t i = 0; i < kMaxThreads; ++i) steps_[i] = std::max(steps_[i], other.steps_[i]);
  }

 private:
  std::vector<std::uint32_t> seen_;
  std::array<std::uint32_t, kMaxThreads> steps_{};
};

}  // namespace inferkit::explorer
