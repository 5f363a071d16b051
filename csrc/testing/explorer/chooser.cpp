#include "testing/explorer/chooser.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace inferkit::explorer {

// Runs of equal choices are long: "0*41.1.0*7".
std::string Chooser::described() const {
  std::ostringstream out;
  for (std::size_t i = 0; i < path_.size();) {
    std::size_t same = 1;
    while (i + same < path_.size() && path_[i + same] == path_[i]) ++same;
    out << (i == 0 ? "" : ".") << path_[i];
    if (same > 1) out << '*' << same;
    i += same;
  }
  return out.str();
}

void DepthFirst::start() {
  left_ = {~0U, budget_.preemptions, budget_.stale, budget_.spurious};
  depth_ = 0;
}

std::uint32_t DepthFirst::pick(std::uint32_t options, Cost cost) {
  std::uint32_t& left = left_[static_cast<std::size_t>(cost)];
  if (left == 0) return 0;
  if (depth_ == steps_.size()) steps_.push_back({0, options});
  if (steps_[depth_].options != options) {
    std::fputs("explorer: the same choices led elsewhere; the program depends on more\n", stderr);
    std::abort();
  }
  const std::uint32_t chosen = steps_[depth_++].chosen;
  if (chosen != 0 && cost != Cost::none) --left;
  return chosen;
}

bool DepthFirst::advance() {
  while (!steps_.empty() && steps_.back().chosen + 1 == steps_.back().options) steps_.pop_back();
  if (steps_.empty()) return false;
  ++steps_.back().chosen;
  return true;
}

std::uint32_t Dice::pick(std::uint32_t options, Cost cost) {
  static constexpr std::array<std::uint32_t, kCosts> kOneIn = {1, 3, 3, 12};
  const std::uint32_t one_in = kOneIn[static_cast<std::size_t>(cost)];
  if (cost == Cost::none) return roll(options);
  return roll(one_in) == 0 ? 1 + roll(options - 1) : 0;
}

void Pct::start() {
  Dice::start();
  longest_ = std::max(longest_, step_);
  step_ = 0;
  priorities_.clear();
  least_ = 1U << 16;
  for (std::uint32_t& change : changes_) change = roll(longest_);
}

std::uint32_t Pct::pick_thread(std::span<const std::uint32_t> threads, Cost /*cost*/) {
  const std::uint32_t most = *std::max_element(threads.begin(), threads.end());
  while (priorities_.size() <= most) priorities_.push_back((1U << 16) + roll(1U << 16));
  if (std::find(changes_.begin(), changes_.end(), step_++) != changes_.end()) {
    priorities_[threads.front()] = --least_;
  }
  const auto first = std::max_element(threads.begin(), threads.end(), [&](auto a, auto b) {
    return priorities_[a] < priorities_[b];
  });
  return static_cast<std::uint32_t>(first - threads.begin());
}

Replay::Replay(const std::string& described) {
  std::istringstream in(described);
  for (std::string part; std::getline(in, part, '.');) {
    const std::size_t star = part.find('*');
    const std::size_t times = star == std::string::npos ? 1 : std::stoul(part.substr(star + 1));
    wanted_.insert(wanted_.end(), times, static_cast<std::uint32_t>(std::stoul(part)));
  }
}

std::uint32_t Replay::pick(std::uint32_t options, Cost /*cost*/) {
  const std::uint32_t chosen = depth_ < wanted_.size() ? wanted_[depth_++] : 0;
  return std::min(chosen, options - 1);
}

}  // namespace inferkit::explorer
