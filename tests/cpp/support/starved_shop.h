// A service whose heap may refuse anything, and the account of what became of its requests.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "base/heap_count.h"
#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/patience.h"
#include "support/views.h"

namespace inferkit::testing {

// A request: rows of `width` floats each, first, first + 1, ... through them all.
struct Wanted {
  std::int64_t rows = 1;
  float first = 1;
  std::int64_t width = 1;
  std::int32_t priority = 0;
  DurationNs time = kNever;  // until its deadline
};

// The model of a starved shop: y = 2 x + 1 through the heap, behind a gate for all threads but the
// shop's own, which opens it. A row of kBad fails.
class StarvedModel {
 public:
  static constexpr float kBad = -1;

  [[nodiscard]] std::unique_ptr<Backend> backend() {
    return std::make_unique<FunctionBackend>(
        signature_of({spec_of("x", DType::float32, {-1, -1})},
                     {spec_of("y", DType::float32, {-1, -1})}),
        [this](auto inputs, auto outputs) { run(inputs[0], outputs[0]); });
  }
  void shut_gate() { open_.store(0); }
  void open_gate() { step(open_); }

  std::atomic<std::uint32_t> events{0};  // a run has begun, or a sink was woken

 private:
  void run(const TensorView& input, OutputSlot& output) {
    step(events);
    if (std::this_thread::get_id() != shop_) {
      while (open_.load() == 0) parker::wait(open_, 0, kNever);
    }
    std::vector<float> values = read<float>(input);
    if (std::find(values.begin(), values.end(), kBad) != values.end()) {
      fail(ErrorCode::backend, "a row that no model could ever be asked to look at: ", kBad);
    }
    for (float& value : values) value = 2 * value + 1;
    place(output, input.shape);
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(output.view.data));
  }

  const std::thread::id shop_ = std::this_thread::get_id();
  std::atomic<std::uint32_t> open_{1};
};

// Threads: one, whose calls into the engine are exposed to a HeapShortage, its own are not.
class StarvedShop {
 public:
  explicit StarvedShop(EngineOptions options)
      : engine_(Engine::open(model_.backend(), options)), tray_(model_.events) {}
  ~StarvedShop() { close(); }
  StarvedShop(const StarvedShop&) = delete;
  StarvedShop& operator=(const StarvedShop&) = delete;

  // Null: not accepted, for want of memory.
  EngineRequest* admit(const Wanted& wanted, bool blocks = false) {
    std::vector<float> values(static_cast<std::size_t>(wanted.rows * wanted.width));
    std::iota(values.begin(), values.end(), wanted.first);
    const TensorView view{DType::float32, shape_of({wanted.rows, wanted.width}),
                          reinterpret_cast<std::byte*>(values.data())};
    Call call;
    call.priority = wanted.priority;
    if (wanted.time != kNever) call.deadline = engine_->clock().now() + wanted.time;
    call.sink = blocks ? nullptr : &tray_;
    auto slip = std::make_unique<Slip>(wanted);
    call.user = slip.get();
    EngineRequest* request = nullptr;
    try {
      request = exposed([&] { return engine_->admit({&view, 1}, call, IfFull::fail); });
    } catch (const std::bad_alloc&) {
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::queue_full);
    }
    if (request != nullptr) slips_.push_back(std::move(slip));
    return request;
  }
  EngineRequest* submit(const Wanted& wanted) {
    EngineRequest* request = admit(wanted);
    if (request != nullptr) exposed([&] { engine_->submit(request); });
    return request;
  }
  [[nodiscard]] EngineRequest* start(const Wanted& wanted) {
    EngineRequest* request = admit(wanted, true);
    if (request != nullptr) exposed([&] { engine_->start(request); });
    return request;
  }
  void await(EngineRequest* request) {
    if (request == nullptr) return;
    const TimeNs until = engine_->clock().now() + kPatience;
    while (!exposed([&] { return engine_->await(request, until); })) {
      REQUIRE(engine_->clock().now() < until);
    }
    settle(request);
  }
  // A run of one row that stays inside the model until open_gate(), unless it fails before.
  void occupy(const Wanted& wanted) {
    const std::uint32_t before = model_.events.load();
    model_.shut_gate();
    if (submit(wanted) != nullptr) REQUIRE(reaches(model_.events, before + 1));
  }
  void open_gate() { model_.open_gate(); }
  void cancel(EngineRequest* request) {
    if (request == nullptr || !exposed([&] { return engine_->cancel(request, true); })) return;
    settle(request);
  }
  // Queues them all, then runs what it can on this thread.
  void flush(std::initializer_list<Wanted> several) {
    for (const Wanted& wanted : several) {
      EngineRequest* request = admit(wanted);
      if (request != nullptr) engine_->enqueue(request);
    }
    exposed([&] { engine_->flush(&tray_, kSecond); });
  }

  // Until everything accepted has ended.
  void settle_all() {
    for (;;) {
      const std::uint32_t seen = model_.events.load();
      for (EngineRequest* next = tray_.answers.drain(); next != nullptr;) {
        settle(std::exchange(next, next->next));
      }
      const bool all = std::all_of(slips_.begin(), slips_.end(), [](auto& s) { return s->ended; });
      if (all) return;
      REQUIRE(reaches(model_.events, seen + 1));
    }
  }
  // After close(): nothing is left of anybody.
  void check_ledger() {
    CHECK(engine_->stats().accepted == slips_.size());
    Rig::check_ledger(*engine_);
    CHECK(tray_.answers.drain() == nullptr);
  }
  void close() {
    open_gate();
    exposed([&] { engine_->close(false, kNever); });
  }

  [[nodiscard]] Engine& engine() noexcept { return *engine_; }
  // How requests ended: indexed by RequestState.
  std::array<int, 8> ends{};

 private:
  struct Slip {
    explicit Slip(const Wanted& what) : wanted(what) {}
    Wanted wanted;
    bool ended = false;
  };
  class Tray final : public EngineSink {
   public:
    explicit Tray(std::atomic<std::uint32_t>& events) : events_(events) {}
    void wake() noexcept override { step(events_); }

   private:
    std::atomic<std::uint32_t>& events_;
  };

  void settle(EngineRequest* request) {
    Slip& slip = *static_cast<Slip*>(static_cast<void*>(request->user));
    CHECK_FALSE(std::exchange(slip.ended, true));
    const Outcome outcome = collect(*engine_, request);
    ++ends[static_cast<std::size_t>(outcome.state)];
    const bool bad = slip.wanted.first == StarvedModel::kBad;
    if (outcome.state == RequestState::done) {
      std::vector<float> values(static_cast<std::size_t>(slip.wanted.rows * slip.wanted.width));
      std::iota(values.begin(), values.end(), slip.wanted.first);
      CHECK(outcome.values == answer_to(values));
      CHECK_FALSE(bad);
    } else if (outcome.state == RequestState::failed) {
      const ErrorCode code = outcome.error->code();
      const bool stopped = code == ErrorCode::session_closed && engine_->closed();
      CHECK(
          (stopped || code == ErrorCode::out_of_memory || (bad && code != ErrorCode::queue_full)));
    } else if (outcome.state == RequestState::expired) {
      CHECK(slip.wanted.time == 0);
    }
  }

  StarvedModel model_;
  std::shared_ptr<Engine> engine_;
  Tray tray_;
  std::vector<std::unique_ptr<Slip>> slips_;
};

}  // namespace inferkit::testing
