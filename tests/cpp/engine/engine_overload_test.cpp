// More requests than can be served: who is refused, who is served, and what stays afterwards.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/mailbox.h"
#include "support/patience.h"
#include "support/views.h"
#include "testing/fake_clock.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::uint32_t kRoom = 16;

// A model that serves one request in each tick of a clock of its own, and callers who come at a
// rate of theirs, whether the others were answered or not.
class Shop {
 public:
  explicit Shop(std::uint32_t retries = 0) : retries_(retries) {
    EngineOptions options = bare_options();
    options.max_batch_rows = 1;
    options.max_pending = kRoom;
    engine_ = Engine::open(model(), options, 0, clock_);
  }
  ~Shop() {
    step(passes_, 1 << 20);
    engine_->close(false, kNever);
    while (EngineRequest* left = box_.take_ready()) engine_->release(left);
    Rig::check_ledger(*engine_);
  }
  Shop(const Shop&) = delete;
  Shop& operator=(const Shop&) = delete;

  // One tick: `arrivals` new callers, and those who were refused before and try again; the run in
  // progress ends and the next one begins.
  void tick(std::uint32_t arrivals, DurationNs patience = kNever) {
    clock_.advance(kMillisecond / 4);
    std::vector<std::uint32_t> again;
    again.swap(refused_);
    for (const std::uint32_t left : again) ask(left, patience);
    for (std::uint32_t i = 0; i < arrivals; ++i) ask(retries_, patience);
    clock_.advance(kMillisecond * 3 / 4);
    static_cast<void>(engine_->flush(&box_, 0));  // whoever is late is told so before the run ends
    const std::uint32_t ends = passes_.load() + 1;
    until([&] { return begun_.load() >= ends || engine_->stats().in_flight == 0; });
    if (begun_.load() < ends) return;  // nobody came
    step(passes_);
    until([&] { return ended_.load() == ends; });
    until([&] { return begun_.load() > ends || engine_->stats().in_flight == 0; });
  }

  std::uint64_t answered = 0, expired = 0, refused = 0;
  std::uint64_t waited_ticks = 0;  // by the last one answered

 private:
  void step(std::atomic<std::uint32_t>& word, std::uint32_t by = 1) {
    word.fetch_add(by);
    parker::wake(word, 1 << 20);
  }

  std::unique_ptr<Backend> model() {
    Signature signature = signature_of({spec_of("x", DType::float32, {-1, 1})},
                                       {spec_of("y", DType::float32, {-1, 1})});
    return std::make_unique<FunctionBackend>(
        std::move(signature),
        [this](std::span<const TensorView> inputs, std::span<OutputSlot> out) {
          const std::uint32_t mine = begun_.fetch_add(1) + 1;
          static_cast<void>(reaches(passes_, mine));
          place(out[0], inputs[0].shape);
          ended_.store(mine);
        });
  }

  void ask(std::uint32_t tries_left, DurationNs patience) {
    float value = 1;
    const TensorView view{DType::float32, shape_of({1, 1}), reinterpret_cast<std::byte*>(&value)};
    Call call;
    call.sink = &box_;
    if (patience != kNever) call.deadline = clock_.now() + patience;
    try {
      engine_->submit(engine_->admit({&view, 1}, call, IfFull::fail));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::queue_full);
      ++refused;
      if (tries_left > 0) refused_.push_back(tries_left - 1);
    }
  }

  void settle() {
    while (EngineRequest* request = box_.take_ready()) {
      if (request->state() == RequestState::done) {
        ++answered;
        waited_ticks = static_cast<std::uint64_t>((clock_.now() - request->arrival) / kMillisecond);
      } else {
        CHECK(request->state() == RequestState::expired);
        ++expired;
      }
      engine_->release(request);
    }
  }

  template <class Condition>
  void until(const Condition& holds) {
    const TimeNs give_up = steady_clock().now() + kPatience;
    for (settle(); !holds(); settle()) {
      REQUIRE(steady_clock().now() < give_up);
      std::this_thread::yield();
    }
    settle();
  }

  const std::uint32_t retries_;
  FakeClock clock_;
  std::atomic<std::uint32_t> begun_{0}, passes_{0}, ended_{0};
  std::vector<std::uint32_t> refused_;  // tries that each has left
  Mailbox box_;
  std::shared_ptr<Engine> engine_;
};

TEST_CASE("engine: ten times the load: as much is served, the rest refused, and then all is well") {
  Shop shop;
  for (int i = 0; i < 200; ++i) shop.tick(1);
  CHECK(shop.refused == 0);
  CHECK(shop.waited_ticks <= 1);
  const std::uint64_t before = shop.answered;
  for (int i = 0; i < 200; ++i) shop.tick(10);
  CHECK(shop.answered - before == 200);  // one in each tick, as before
  CHECK(shop.refused >= 9 * 200 - kRoom);
  CHECK(shop.waited_ticks <= kRoom);  // what was let in waits for the queue, not for the crowd
  for (int i = 0; i < 2 * static_cast<int>(kRoom); ++i) shop.tick(i % 2 == 0 ? 1 : 0);
  const std::uint64_t refused = shop.refused;
  for (int i = 0; i < 200; ++i) shop.tick(1);
  CHECK(shop.refused == refused);
  CHECK(shop.waited_ticks <= 1);
}

TEST_CASE("engine: who is refused and asks again takes nothing from what is served") {
  Shop shop(3);
  for (int i = 0; i < 500; ++i) shop.tick(2);
  CHECK(shop.answered >= 499);
  CHECK(shop.refused > 3 * 400);  // four tries each, and half of them in vain
}

TEST_CASE("engine: under load a run is made for those whom it can serve in time") {
  // Whoever is at the front of a full queue has waited for long, and his deadline comes within the
  // run: where such go first, all runs are in vain.
  for (const int patience : {2, 4, 8, 15, 30}) {
    CAPTURE(patience);
    Shop shop(3);
    for (int i = 0; i < 200; ++i) shop.tick(10, patience * kMillisecond + kMillisecond / 4);
    CHECK(shop.answered >= 195);
    CHECK(shop.waited_ticks <= static_cast<std::uint64_t>(patience));
  }
}

}  // namespace
