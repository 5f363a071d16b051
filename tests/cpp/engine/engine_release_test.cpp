// How late callers are let go whose deadline passed, while the only instance is in a run and nobody
// holds the token. INFERKIT_RELEASE=deadlines of each kind for the long form, which also judges.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/parker.h"
#include "engine/engine.h"
#include "support/customer.h"
#include "support/engine_rig.h"
#include "support/environment.h"
#include "support/storm.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::uint32_t kThreads = 8;  // of each kind

using Late = std::vector<DurationNs>;

DurationNs any_wait(Dice& dice) { return kMillisecond + dice() % (20 * kMillisecond); }

DurationNs at(Late late, double share) {
  std::sort(late.begin(), late.end());
  return late[static_cast<std::size_t>(share * static_cast<double>(late.size() - 1))];
}

void print(const char* who, const Late& late) {
  const auto us = [&](double share) { return static_cast<double>(at(late, share)) / 1e3; };
  std::printf("  %-22s %6zu deadlines, late by p50 %.0f us, p99 %.0f, p99.9 %.0f, at most %.0f\n",
              who, late.size(), us(0.5), us(0.99), us(0.999), us(1));
}

// Threads that block for an answer that does not come: each has a timer of its own.
void block(Rig& rig, std::uint64_t seed, std::size_t count, Late& late) {
  Dice dice(seed);
  for (std::size_t i = 0; i < count; ++i) {
    Call call;
    call.deadline = rig.in(any_wait(dice));
    EngineRequest* request = rig.start({1}, call);
    const bool resolved = rig.engine().await(request, kNever);
    late.push_back(rig.engine().clock().now() - call.deadline);
    if (!resolved || request->state() != RequestState::expired) late.back() = kNever;
    rig.engine().release(request);
  }
}

// A thread with a mailbox: the keeper looks after its requests, `kThreads` at a time.
void have_kept(Rig& rig, std::uint64_t seed, std::size_t count, Late& late) {
  Dice dice(seed);
  std::size_t asked = 0;
  const auto ask = [&] {
    Call call;
    call.deadline = rig.in(any_wait(dice));
    rig.submit({1}, call);
    ++asked;
  };
  for (std::uint32_t i = 0; i < kThreads; ++i) ask();
  while (late.size() < count) {
    EngineRequest* request = rig.box.take();
    if (request == nullptr) return;
    late.push_back(rig.engine().clock().now() - request->deadline);
    if (request->state() != RequestState::expired) late.back() = kNever;
    rig.engine().release(request);
    if (asked < count) ask();
  }
}

// The control: threads that sleep as long, beside the others.
void sleep(std::uint64_t seed, std::size_t count, Late& late) {
  Dice dice(seed);
  const std::atomic<std::uint32_t> nobody{0};
  for (std::size_t i = 0; i < count; ++i) {
    const TimeNs until = steady_clock().now() + any_wait(dice);
    while (steady_clock().now() < until) parker::wait(nobody, 0, until);
    late.push_back(steady_clock().now() - until);
  }
}

TEST_CASE("engine: released at the deadline while every instance is in a run") {
  const std::size_t count = number_from("INFERKIT_RELEASE", 400);
  const std::size_t each = count / kThreads;
  Rig rig;
  rig.occupy(100);
  std::vector<Late> blocked(kThreads);
  std::vector<Late> control(kThreads);
  Late kept;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { block(rig, i, each, blocked[i]); });
    threads.emplace_back([&, i] { sleep(100 + i, each, control[i]); });
  }
  threads.emplace_back([&] { have_kept(rig, 50, count, kept); });
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t i = 1; i < kThreads; ++i) {
    blocked[0].insert(blocked[0].end(), blocked[i].begin(), blocked[i].end());
    control[0].insert(control[0].end(), control[i].begin(), control[i].end());
  }
  print("blocked, own timer", blocked[0]);
  print("mailbox, the keeper", kept);
  print("control: a sleeper", control[0]);
  CHECK(kept.size() == count);
  CHECK(rig.stats().expired == kept.size() + blocked[0].size());
  CHECK(rig.stats().batches == 0);  // nobody got in
  for (const Late* late : {&blocked[0], &kept}) {
    CHECK(at(*late, 0) >= 0);       // none too early
    CHECK(at(*late, 1) != kNever);  // each by its deadline
    // Time judges the long form only.
    if (count >= 10'000) CHECK(at(*late, 0.999) <= at(control[0], 0.999) + 2 * kMillisecond);
  }
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({100}));
  CHECK(rig.backend().seen().size() == 1);  // what expired in the queue never runs
}

}  // namespace
