#include "base/failpoint.h"

#if defined(INFERKIT_TESTING)

#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <utility>

#include "base/fork_mutex.h"
#include "base/parker.h"

namespace inferkit::failpoint {
namespace {

struct Registry {
  // Made before any pool's, so that a fork takes it after theirs: points are found under those.
  ForkMutex mutex;
  std::map<std::string, std::unique_ptr<Point>, std::less<>> points;
};

// Leaked: visited until the process is gone.
Registry& the_registry = *new Registry;

Registry& registry() { return the_registry; }

}  // namespace

Plan throw_error(ErrorCode code, std::string message) {
  return {.action = [code, message = std::move(message)] { throw Error(code, message); }};
}

void Gate::pass() noexcept {
  // release: a waiter that counts us sees what we did before. acquire: pairs with open().
  visitors_.fetch_add(1, std::memory_order_release);
  parker::wake(visitors_, 1);
  while (open_.load(std::memory_order_acquire) == 0) parker::wait(open_, 0, kNever);
}

void Gate::open() noexcept {
  open_.store(1, std::memory_order_release);  // pairs with pass()
  parker::wake(open_, std::numeric_limits<int>::max());
}

void Gate::wait_for_visitors(std::uint32_t count) noexcept {
  for (;;) {
    const std::uint32_t seen = visitors_.load(std::memory_order_acquire);  // pairs with pass()
    if (seen >= count) return;
    parker::wait(visitors_, seen, kNever);
  }
}

Plan block_at(Gate& gate) {
  return {.action = [&gate] { gate.pass(); }};
}

struct Point::Armed {
  std::mutex mutex;
  std::shared_ptr<const Plan> plan;  // shared: an action runs outside the mutex, disarmed or not
  std::uint64_t seen = 0;
  std::uint64_t chosen = 0;
  std::mt19937_64 dice;
};

Point::Point(std::string name) : name_(std::move(name)), plan_(std::make_unique<Armed>()) {}
Point::~Point() = default;

void Point::arm(Plan plan) {
  const std::lock_guard lock(plan_->mutex);
  plan_->dice.seed(plan.seed);
  plan_->seen = 0;
  plan_->chosen = 0;
  plan_->plan = std::make_shared<const Plan>(std::move(plan));
  armed_.store(true, std::memory_order_release);  // pairs with pass()
}

void Point::disarm() noexcept {
  const std::lock_guard lock(plan_->mutex);
  armed_.store(false, std::memory_order_release);
  plan_->plan.reset();
}

bool Point::act() {
  std::shared_ptr<const Plan> plan;
  {
    const std::lock_guard lock(plan_->mutex);
    plan = plan_->plan;
    if (plan == nullptr || plan_->seen++ < plan->skip || plan_->chosen >= plan->times) return false;
    if (std::uniform_real_distribution<>()(plan_->dice) >= plan->probability) return false;
    ++plan_->chosen;
  }
  failures_.fetch_add(1, std::memory_order_relaxed);  // a count
  if (plan->action) plan->action();
  return true;
}

Point& at(std::string_view name) {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  auto found = known.points.find(name);
  if (found == known.points.end()) {
    auto point = std::make_unique<Point>(std::string(name));
    found = known.points.emplace(point->name(), std::move(point)).first;
  }
  return *found->second;
}

std::vector<const Point*> all() {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  std::vector<const Point*> points;
  points.reserve(known.points.size());
  for (const auto& [name, point] : known.points) points.push_back(point.get());
  return points;
}

}  // namespace inferkit::failpoint

#endif
