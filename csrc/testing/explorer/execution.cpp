#include "testing/explorer/execution.h"

#include <filesystem>
#include <utility>

namespace inferkit::explorer {
namespace {

constexpr std::size_t kMain = kMaxThreads - 1;

struct Checked {};  // ends a program's set-up, or its check()

Execution* the_current = nullptr;

bool acquires(std::memory_order order) noexcept {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst || order == std::memory_order_consume;
}
bool releases(std::memory_order order) noexcept {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

}  // namespace

Execution* Execution::current() noexcept { return the_current; }
Execution* Execution::concurrent() noexcept {
  return the_current == nullptr || the_current->running_ == kMain ? nullptr : the_current;
}

std::string Execution::run(const std::function<std::unique_ptr<Program>()>& make) {
  the_current = this;
  try {
    program_ = make();
  } catch (const Checked&) {
    the_current = nullptr;
    return failure_;
  }
  over_ = false;
  count_ = program_->threads();
  for (std::size_t i = 0; i < count_; ++i) {
    threads_[i].fiber.start(&Execution::enter);
  }
  threads_[kMain].state = State::ended;  // until the others have
  go_on_elsewhere(Cost::none);
  running_ = kMain;
  over_ = true;
  try {
    if (failure_.empty()) program_->check();
  } catch (const Checked&) {
  }
  if (failure_.empty()) {
    program_.reset();
  } else {
    static_cast<void>(program_.release());
  }
  the_current = nullptr;
  return failure_;
}

void Execution::enter() {
  Execution& self = *the_current;
  self.program_->run(self.running_);
  self.threads_[self.running_].state = State::ended;
  self.go_on_elsewhere(Cost::none);
}

// Picks who is next, the running thread first where it can go on, and switches there. Returns when
// the thread that called it is picked again.
void Execution::go_on_elsewhere(Cost cost) {
  std::array<std::uint32_t, kMaxThreads> able{};
  std::size_t able_count = 0;
  const auto offer = [&](std::size_t i) { able[able_count++] = static_cast<std::uint32_t>(i); };
  const auto is_ready = [&](std::size_t i) { return threads_[i].state == State::ready; };
  const bool stays = cost == Cost::preemption;
  if (stays) offer(running_);
  for (std::size_t i = 0; i < count_; ++i) {
    if (is_ready(i) && !(stays && i == running_) && !threads_[i].paused) offer(i);
  }
  if (able_count == 0) {  // all that could go on have said that they wait for others
    for (std::size_t i = 0; i < count_; ++i) {
      threads_[i].paused = false;
      if (is_ready(i)) offer(i);
    }
  }
  if (able_count == 0) {  // nobody can go on but by the clock
    for (std::size_t i = 0; i < count_; ++i) {
      if (threads_[i].state == State::waiting && threads_[i].until != kNever) offer(i);
    }
  }
  if (able_count == 0) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (threads_[i].state == State::waiting) return fail("deadlock: every thread left sleeps");
    }
    return switch_to(kMain);
  }
  const std::size_t next = able[chooser_.choose_thread({able.data(), able_count}, cost)];
  Thread& thread = threads_[next];
  if (thread.state == State::waiting) {
    now_ = std::max(now_, thread.until);
    thread.state = State::ready;
  }
  switch_to(next);
}

void Execution::switch_to(std::size_t thread) {
  if (thread == running_) return;
  const std::size_t from = std::exchange(running_, thread);
  Fiber::switch_to(threads_[from].fiber, threads_[thread].fiber);
}

void Execution::fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
  if (over_) throw Checked();
  switch_to(kMain);
}

// Before every atomic operation: others may come first.
void Execution::step(std::uint32_t& id) {
  if (id == ~0U) id = locations_++;
  if (++steps_ > kMostSteps) return fail("no end after many steps: livelock?");
  go_on_elsewhere(Cost::preemption);
  threads_[running_].now.step(running_);
}

Access Execution::access_at(const std::source_location& at, Operation operation,
                            std::memory_order named, bool on_failure) {
  threads_[running_].at = at;
  const Site site = Site::of(at, on_failure);
  seen_.sites.emplace(site, Place{operation, named});
  const std::optional<Mutation>& mutation = settings_.mutation;
  if (!mutation || !(mutation->site == site)) return {named, false};
  if (mutation->kind == Mutation::Kind::blind) return {named, true};
  return {mutation->order, false};
}

void Execution::tell(const char* what, std::uint64_t value, std::uint32_t newer) const {
  if (settings_.trace == nullptr) return;
  const Thread& thread = threads_[running_];
  std::ostream& trace = *settings_.trace;
  trace << 'T' << running_ << ' '
        << std::filesystem::path(thread.at.file_name()).filename().string() << ':'
        << thread.at.line() << ' ' << what << ' ' << value;
  if (newer != 0) trace << ", overwritten " << newer << " times";
  trace << '\n';
}

std::uint32_t Execution::oldest_for(const Location& location, std::uint32_t id,
                                    std::memory_order order) const {
  const std::uint32_t known = threads_[running_].now.seen(id);
  return order == std::memory_order_seq_cst ? std::max(known, location.last_seq_cst) : known;
}

void Execution::read(Location& location, std::uint32_t id, std::uint32_t message,
                     std::memory_order order) {
  Thread& thread = threads_[running_];
  const View& known = location.history[message].view;
  thread.now.see(id, message);
  tell("sees", location.history[message].value, newest(location) - message);
  if (acquires(order)) thread.now.join(known);
  if (order == std::memory_order_seq_cst) {
    location.last_seq_cst = std::max(location.last_seq_cst, message);
  }
}

void Execution::write(Location& location, std::uint32_t id, std::uint64_t value,
                      std::memory_order order, const View* continued) {
  Thread& thread = threads_[running_];
  Message message{value, {}};
  if (continued != nullptr)
    message.view = *continued;  // a read-modify-write goes on with a release
  const auto number = static_cast<std::uint32_t>(location.history.size());
  thread.now.see(id, number);
  if (releases(order)) message.view.join(thread.now);
  message.view.see(id, number);
  location.history.push_back(std::move(message));
  for (Thread& each : threads_) each.paused = false;  // something was done
  tell("writes", value, 0);
  if (order == std::memory_order_seq_cst) location.last_seq_cst = number;
}

std::uint64_t Execution::load(Location& location, std::uint32_t& id, const Access& access) {
  step(id);
  if (access.blind) return location.history.front().value;
  const std::uint32_t oldest = oldest_for(location, id, access.order);
  const std::uint32_t back = chooser_.choose(newest(location) - oldest + 1, Cost::stale);
  const std::uint32_t message = newest(location) - back;
  read(location, id, message, access.order);
  return location.history[message].value;
}

void Execution::store(Location& location, std::uint32_t& id, std::uint64_t value,
                      const Access& access) {
  step(id);
  write(location, id, value, access.order, nullptr);
}

bool Execution::compare_exchange(Location& location, std::uint32_t& id, std::uint64_t& expected,
                                 std::uint64_t desired, bool weak, const Access& success,
                                 const Access& failure) {
  step(id);
  const auto exchange = [&] {
    read(location, id, newest(location), success.order);
    write(location, id, desired, success.order, &location.history.back().view);
    return true;
  };
  if (success.blind) return exchange();
  // It fails where it sees another value, which may be an old one as for any load; a weak one also
  // for nothing.
  const std::uint32_t oldest = oldest_for(location, id, failure.order);
  std::vector<std::uint32_t> others;
  for (std::uint32_t message = newest(location) + 1; message-- > oldest;) {
    if (location.history[message].value != expected) others.push_back(message);
  }
  std::uint32_t seen = newest(location);
  if (location.history.back().value == expected) {
    const auto ways = static_cast<std::uint32_t>(others.size()) + 1;
    const std::uint32_t way = chooser_.choose(ways, Cost::stale);
    if (way != 0) {
      seen = others[way - 1];
    } else if (!weak || chooser_.choose(2, Cost::spurious) == 0) {
      return exchange();
    }
  } else {
    seen = others[chooser_.choose(static_cast<std::uint32_t>(others.size()), Cost::stale)];
  }
  read(location, id, seen, failure.order);
  if (!failure.blind) expected = location.history[seen].value;
  return false;
}

void Execution::wait(Location& location, std::uint32_t& id, std::uint64_t expected, TimeNs until,
                     const Access& access) {
  step(id);
  // The kernel looks at the word itself, and says nothing of what else was written.
  if (!access.blind && location.history.back().value != expected) return;
  if (until <= now_) return pause();  // others do something meanwhile
  if (chooser_.choose(2, Cost::spurious) == 1) {
    // For nothing, or because the time is up.
    if (until != kNever) now_ = std::max(now_, until);
    return;
  }
  Thread& thread = threads_[running_];
  tell("sleeps while", expected, 0);
  thread.state = State::waiting;
  thread.sleeps_on = &location;
  thread.until = until;
  go_on_elsewhere(Cost::none);
  thread.sleeps_on = nullptr;
}

void Execution::wake(const Location& location, int count) {
  if (++steps_ > kMostSteps) return fail("no end after many steps: livelock?");
  go_on_elsewhere(Cost::preemption);
  for (; count > 0; --count) {
    std::array<std::uint32_t, kMaxThreads> asleep{};
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (threads_[i].state == State::waiting && threads_[i].sleeps_on == &location) {
        asleep[found++] = static_cast<std::uint32_t>(i);
      }
    }
    if (found == 0) return;
    const std::uint32_t woken = asleep[chooser_.choose(found, Cost::none)];
    tell("wakes thread", woken, 0);
    threads_[woken].state = State::ready;
  }
}

void Execution::pause() {
  if (++steps_ > kMostSteps) return fail("no end after many steps: livelock?");
  threads_[running_].paused = true;
  go_on_elsewhere(Cost::none);
  threads_[running_].paused = false;
}

}  // namespace inferkit::explorer
