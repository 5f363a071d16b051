// Where the answers of a test go.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>

#include "engine/engine.h"
#include "support/patience.h"

namespace inferkit::testing {

// A sink whose owner sleeps until there is an answer. Threads: wake() from any, the rest by one.
class Mailbox final : public EngineSink {
 public:
  void wake() noexcept override { step(wakes_); }

  // The next answer, or null when patience ran out. The taker releases it.
  [[nodiscard]] EngineRequest* take() {
    for (;;) {
      if (EngineRequest* next = take_ready()) return next;
      const std::uint32_t seen = wakes_.load();
      if (EngineRequest* next = take_ready()) return next;
      if (!reaches(wakes_, seen + 1)) return nullptr;
    }
  }
  // What has been delivered so far; null when nothing is left.
  [[nodiscard]] EngineRequest* take_ready() {
    for (EngineRequest* next = answers.drain(); next != nullptr;) {
      EngineRequest* after = next->next;
      ready_.push_back(next);
      next = after;
    }
    if (ready_.empty()) return nullptr;
    EngineRequest* first = ready_.front();
    ready_.pop_front();
    return first;
  }
  [[nodiscard]] std::uint32_t wakes() const noexcept { return wakes_.load(); }

 private:
  std::atomic<std::uint32_t> wakes_{0};
  std::deque<EngineRequest*> ready_;
};

}  // namespace inferkit::testing
