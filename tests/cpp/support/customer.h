// Callers of every kind, who check what they get: the load of the stress tests.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/mailbox.h"

namespace inferkit::testing {

inline constexpr std::int64_t kWidth = 4;
inline constexpr float kBad = -1;   // a row that begins with it fails its run
inline constexpr float kSlow = -2;  // one that begins with it takes a while

// A run that takes longer than the others, without holding the processor.
inline void linger() {
  std::atomic<std::uint32_t> nobody{0};
  const TimeNs until = steady_clock().now() + 2 * kMillisecond;
  while (steady_clock().now() < until) parker::wait(nobody, 0, until);
}

inline std::unique_ptr<Backend> stressed_model() {
  Signature signature = signature_of({spec_of("x", DType::float32, {-1, kWidth})},
                                     {spec_of("y", DType::float32, {-1, kWidth})});
  return std::make_unique<FunctionBackend>(
      std::move(signature), [](std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
        place(outputs[0], inputs[0].shape);
        const auto* x = reinterpret_cast<const float*>(inputs[0].data);
        auto* y = reinterpret_cast<float*>(outputs[0].view.data);
        bool slow = false;
        for (std::int64_t i = 0; i < inputs[0].shape[0] * kWidth; ++i) {
          if (i % kWidth == 0 && x[i] == kBad) throw Error(ErrorCode::backend, "bad row", 2);
          if (i % kWidth == 0 && x[i] == kSlow) slow = true;
          y[i] = 2 * x[i];
        }
        if (slow) linger();
      });
}

// What became of the requests, as their callers saw it.
struct Tally {
  std::atomic<std::uint64_t> answered{0}, failed{0}, expired{0}, cancelled{0}, abandoned{0};
  std::atomic<std::uint64_t> wrong{0}, unknown{0};
  std::atomic<std::uint64_t> planned{0};  // of those that failed: by a failpoint
};

// What failpoints are planned to do to requests: runs, and blocks of the pool, find no memory.
inline bool is_planned(const Error& error) {
  return error.code() == ErrorCode::out_of_memory || error.code() == ErrorCode::queue_full;
}

struct Question {
  float first = 0;
  std::uint32_t rows = 0;

  // Rows of first, first + 1, ... through them all.
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> all(rows * kWidth);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = first + static_cast<float>(i);
    return all;
  }
};

// One thread's callers.
class Customer {
 public:
  Customer(Engine& engine, Tally& tally, std::uint64_t seed, bool blocks)
      : engine_(engine), tally_(tally), random_(seed), blocks_(blocks) {}

  void work(TimeNs until) {
    while (engine_.clock().now() < until) {
      const Question question = think_up();
      if (blocks_) {
        block_for(question);
      } else {
        send(question);
        while (EngineRequest* request = box_.take_ready()) settle(request);
      }
    }
    while (outstanding_ > 0) {
      EngineRequest* request = box_.take();
      if (request == nullptr) return;  // the ledger will tell
      settle(request);
    }
  }

 private:
  [[nodiscard]] bool one_in(std::uint32_t n) { return random_() % n == 0; }

  [[nodiscard]] Question think_up() {
    Question question;
    const bool in_parts = one_in(100);
    question.rows = static_cast<std::uint32_t>(in_parts ? 60 + random_() % 80 : random_() % 4);
    question.first = static_cast<float>(random_() % 1000);
    if (one_in(200)) question.first = kBad;
    if (one_in(50)) question.first = kSlow;
    return question;
  }

  [[nodiscard]] EngineRequest* admit(const Question& question, Call call) {
    if (one_in(10)) {
      call.deadline = engine_.clock().now() + static_cast<DurationNs>(random_() % 150'000);
    }
    call.priority = static_cast<std::int32_t>(random_() % 3);
    std::vector<float> values = question.values();
    const TensorView view{DType::float32, shape_of({question.rows, kWidth}),
                          reinterpret_cast<std::byte*>(values.data())};
    for (;;) {
      const std::uint32_t epoch = engine_.room_epoch();
      EngineRequest* request = ask(view, call);
      if (request != nullptr) return request;
      while (EngineRequest* answered = box_.take_ready()) settle(answered);
      engine_.wait_for_room(epoch, engine_.clock().now() + kSecond);
    }
  }

  // Null: no room, in the queue or in the pool.
  [[nodiscard]] EngineRequest* ask(const TensorView& view, const Call& call) {
    try {
      return engine_.admit({&view, 1}, call, IfFull::announce);
    } catch (const Error& error) {
      if (!is_planned(error)) throw;
      return nullptr;
    }
  }

  void block_for(const Question& question) {
    EngineRequest* request = admit(question, {});
    engine_.start(request);
    const TimeNs until = one_in(5) ? engine_.clock().now() + 20 * kMicrosecond : kNever;
    while (!engine_.await(request, until)) {
      if (!one_in(4)) continue;
      engine_.abandon(request);
      tally_.abandoned.fetch_add(1);
      return;
    }
    judge(request, question);
  }

  void send(const Question& question) {
    Call call;
    call.sink = &box_;
    call.user = new Question(question);
    EngineRequest* request = admit(question, call);
    ++outstanding_;
    if (one_in(3)) {
      engine_.submit(request);
    } else {
      EngineRequest* second = one_in(2) ? another(call) : nullptr;
      engine_.enqueue(request);
      if (second != nullptr) engine_.enqueue(second);
      engine_.flush(&box_, one_in(2) ? 0 : 100 * kMicrosecond);
    }
    // Ours as long as we have not looked into the mailbox since it was queued.
    if (one_in(10) && engine_.cancel(request, one_in(2))) {
      tally_.cancelled.fetch_add(1);
      delete static_cast<Question*>(request->user);
      engine_.release(request);
      --outstanding_;
    }
  }

  // A second request for the same flush.
  [[nodiscard]] EngineRequest* another(Call call) {
    const Question question = think_up();
    call.user = new Question(question);
    ++outstanding_;
    return admit(question, call);
  }

  void settle(EngineRequest* request) {
    const std::unique_ptr<Question> question(static_cast<Question*>(request->user));
    judge(request, *question);
    --outstanding_;
  }

  void judge(EngineRequest* request, const Question& question) {
    const Outcome outcome = collect(engine_, request);
    const bool bad = question.rows > 0 && question.first == kBad;
    switch (outcome.state) {
      case RequestState::done: {
        std::vector<float> expected = question.values();
        for (float& value : expected) value *= 2;
        if (bad || outcome.values != expected) tally_.wrong.fetch_add(1);
        tally_.answered.fetch_add(1);
        break;
      }
      case RequestState::failed:
        if (is_planned(*outcome.error)) {
          tally_.planned.fetch_add(1);
        } else if (!bad) {
          tally_.wrong.fetch_add(1);  // somebody else's row
        }
        tally_.failed.fetch_add(1);
        break;
      case RequestState::expired:
        tally_.expired.fetch_add(1);
        break;
      default:
        tally_.unknown.fetch_add(1);
    }
  }

  Engine& engine_;
  Tally& tally_;
  std::mt19937_64 random_;
  const bool blocks_;
  Mailbox box_;
  std::uint64_t outstanding_ = 0;
};

}  // namespace inferkit::testing
