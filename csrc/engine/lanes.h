// All lanes of an engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "batch/lane.h"
#include "batch/policy.h"

namespace inferkit {

// Finds the lane of a request; keeps at most `limit` idle ones, dropping the longest unused. Lanes
// that hold requests or run batches stay, and are bounded by max_pending.
// Threads: the token holder's private matter. Throws: of() only, std::bad_alloc, where it needs a
// new lane.
template <class Atom>
class Lanes {
 public:
  explicit Lanes(std::size_t limit) : limit_(limit) {}

  // What a new lane believes of its latency until it has run, if its open dimensions all are
  // `open_dim`, as they were in warm-up: other shapes may take a thousand times as long. Before the
  // first request.
  void seed(const LatencyTable& table, std::int64_t open_dim) {
    seed_ = table;
    seed_dim_ = open_dim;
  }

  [[nodiscard]] Lane<Atom>& of(const Request<Atom>& request) {
    ++clock_;
    if (last_ == nullptr || !last_->takes(request)) last_ = &find_or_add(request);
    last_->last_used = clock_;
    return *last_;
  }

  // One state per lane that holds something; state i belongs to lane(i).
  [[nodiscard]] std::span<const LaneState> states(bool may_wait, TimeNs now) noexcept {
    states_.clear();
    shown_.clear();
    for (const auto& lane : lanes_) {
      if (lane->empty()) continue;
      states_.push_back(lane->state(may_wait, now));
      shown_.push_back(lane.get());
    }
    return states_;
  }
  [[nodiscard]] Lane<Atom>& lane(std::uint32_t shown) noexcept { return *shown_[shown]; }

  template <class Visit>
  void for_each(Visit&& visit) {
    for (const auto& lane : lanes_) visit(*lane);
  }
  [[nodiscard]] std::size_t requests() const noexcept {
    std::size_t count = 0;
    for (const auto& lane : lanes_) count += lane->requests();
    return count;
  }

 private:
  Lane<Atom>& find_or_add(const Request<Atom>& request) {
    for (const auto& lane : lanes_) {
      if (lane->takes(request)) return *lane;
    }
    // More than one after a burst of shapes: while they were all in use, none could be dropped.
    while (lanes_.size() >= limit_ && evict()) {
    }
    const auto dims = request.lane_dims.view();
    const bool as_measured =
        std::all_of(dims.begin(), dims.end(), [this](auto dim) { return dim == seed_dim_; });
    auto lane = std::make_unique<Lane<Atom>>(request, as_measured ? &seed_ : nullptr);
    if (lanes_.size() == lanes_.capacity()) lanes_.reserve(2 * lanes_.size() + 8);
    states_.reserve(lanes_.capacity());  // states() must not fail
    shown_.reserve(lanes_.capacity());
    lanes_.push_back(std::move(lane));
    return *lanes_.back();
  }

  // False: all of them are in use.
  bool evict() {
    auto oldest = lanes_.end();
    for (auto at = lanes_.begin(); at != lanes_.end(); ++at) {
      if (!(*at)->empty() || (*at)->running != 0) continue;
      if (oldest == lanes_.end() || (*at)->last_used < (*oldest)->last_used) oldest = at;
    }
    if (oldest == lanes_.end()) return false;
    if (last_ == oldest->get()) last_ = nullptr;
    lanes_.erase(oldest);
    return true;
  }

  const std::size_t limit_;
  std::vector<std::unique_ptr<Lane<Atom>>> lanes_;
  Lane<Atom>* last_ = nullptr;
  LatencyTable seed_;
  std::int64_t seed_dim_ = 0;
  std::uint64_t clock_ = 0;
  std::vector<LaneState> states_;
  std::vector<Lane<Atom>*> shown_;
};

}  // namespace inferkit
