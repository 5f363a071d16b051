// What the core has to say. It only leaves records; who reads them is set from outside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace inferkit {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct LogRecord {
  LogLevel level = LogLevel::info;
  TimeNs time = 0;  // on steady_clock()
  std::string text;
};

// Records on their way to one reader.
// Threads: push() from any thread, take_all() by one at a time. Owns: what was not taken.
// Blocks: never; beyond the capacity, or without memory, a record is dropped and counted.
// Throws: take_all() only (std::bad_alloc), which then loses nothing.
class LogQueue {
 public:
  explicit LogQueue(std::size_t capacity) noexcept : capacity_(capacity) {}
  ~LogQueue();
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  // False when dropped.
  bool push(LogLevel level, TimeNs time, std::string text) noexcept;

  // Oldest first.
  [[nodiscard]] std::vector<LogRecord> take_all();

  // Since the queue was made.
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);  // a count
  }

 private:
  struct Node;

  const std::size_t capacity_;
  std::atomic<Node*> newest_{nullptr};
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

// The process's queue: 1024 records. Lives for ever.
[[nodiscard]] LogQueue& log_queue() noexcept;

// Is told that records wait. Called by whoever logs, so it neither blocks nor logs: it wakes the
// reader. Threads: any. Throws: never.
struct LogSink {
  void (*ready)(void* context) noexcept = nullptr;
  void* context = nullptr;
};

// Replaces the sink; nullptr turns it off, and records wait in the queue. The old sink may still
// be called from another thread, so sinks and their contexts live for ever.
void set_log_sink(const LogSink* sink) noexcept;

void write_log(LogLevel level, std::string text) noexcept;

// log(LogLevel::warning, "instance ", 3, " was slow"): never throws, never blocks.
template <class... Parts>
void log(LogLevel level, const Parts&... parts) noexcept try {
  write_log(level, text(parts...));
} catch (...) {
  write_log(level, std::string());  // out of memory: at least its level is known
}

}  // namespace inferkit
