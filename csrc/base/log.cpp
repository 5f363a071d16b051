#include "base/log.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace inferkit {

struct LogQueue::Node {
  LogRecord record;
  Node* older = nullptr;
};

LogQueue::~LogQueue() {
  Node* node = newest_.load(std::memory_order_relaxed);  // relaxed: nobody else is left
  while (node != nullptr) delete std::exchange(node, node->older);
}

bool LogQueue::push(LogLevel level, TimeNs time, std::string text) noexcept {
  // relaxed, here and below: a count that needs to be right, not ordered. Taking a place first
  // keeps the bound exact.
  Node* node = nullptr;
  if (waiting_.fetch_add(1, std::memory_order_relaxed) < capacity_) {
    node = new (std::nothrow) Node{{level, time, std::move(text)}};
  }
  if (node == nullptr) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  node->older = newest_.load(std::memory_order_relaxed);
  // release: pairs with the exchange in take_all().
  while (!newest_.compare_exchange_weak(node->older, node, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
  return true;
}

std::vector<LogRecord> LogQueue::take_all() {
  std::vector<LogRecord> records;
  if (newest_.load(std::memory_order_relaxed) == nullptr) return records;  // relaxed: a hint
  // Room first, so that nothing can throw once the records are ours.
  records.reserve(capacity_);
  // acquire: pairs with the release in push().
  Node* node = newest_.exchange(nullptr, std::memory_order_acquire);
  while (node != nullptr) {
    const std::unique_ptr<Node> taken(std::exchange(node, node->older));
    records.push_back(std::move(taken->record));
  }
  waiting_.fetch_sub(records.size(), std::memory_order_relaxed);
  std::reverse(records.begin(), records.end());
  return records;
}

LogQueue& log_queue() noexcept {
  // Never destroyed: something may still be said while statics are. Not on the heap, which may have
  // nothing left when the first word is said.
  alignas(LogQueue) static std::byte place[sizeof(LogQueue)];
  static LogQueue* const queue = new (place) LogQueue(1024);
  return *queue;
}

namespace {

std::atomic<const LogSink*> current_sink{nullptr};

}  // namespace

void set_log_sink(const LogSink* sink) noexcept {
  current_sink.store(sink, std::memory_order_release);  // pairs with write_log()
}

void write_log(LogLevel level, std::string text) noexcept {
  const bool kept = log_queue().push(level, steady_clock().now(), std::move(text));
  // acquire: pairs with set_log_sink().
  const LogSink* const sink = current_sink.load(std::memory_order_acquire);
  if (kept && sink != nullptr) sink->ready(sink->context);
}

}  // namespace inferkit
