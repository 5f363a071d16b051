#include "base/log.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

TEST_CASE("log: records come out once, oldest first") {
  LogQueue queue(8);
  CHECK(queue.push(LogLevel::info, 1, "one"));
  CHECK(queue.push(LogLevel::error, 2, "two"));
  const std::vector<LogRecord> records = queue.take_all();
  REQUIRE(records.size() == 2);
  CHECK(records[0].text == "one");
  CHECK(records[0].level == LogLevel::info);
  CHECK(records[1].text == "two");
  CHECK(records[1].time == 2);
  CHECK(queue.take_all().empty());
}

TEST_CASE("log: a full queue drops and counts, a drained one takes again") {
  LogQueue queue(2);
  CHECK(queue.push(LogLevel::info, 1, "one"));
  CHECK(queue.push(LogLevel::info, 2, "two"));
  CHECK_FALSE(queue.push(LogLevel::info, 3, "three"));
  CHECK(queue.dropped() == 1);
  CHECK(queue.take_all().size() == 2);
  CHECK(queue.push(LogLevel::info, 4, "four"));
  CHECK(queue.take_all().at(0).text == "four");
  CHECK(queue.dropped() == 1);
}

TEST_CASE("log: what is not taken is freed with the queue") {
  LogQueue queue(2);
  CHECK(queue.push(LogLevel::info, 1, std::string(1000, 'x')));  // the leak checker looks
}

TEST_CASE("log: many writers, one reader: taken + dropped = written, each writer in order") {
  constexpr int kWriters = 3;
  constexpr int kEach = 5'000;
  LogQueue queue(64);
  const auto write = [&queue](int writer) {
    for (int i = 0; i < kEach; ++i)
      queue.push(LogLevel::debug, i, std::string(1, char('a' + writer)));
  };
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) writers.emplace_back(write, writer);
  std::uint64_t taken = 0;
  std::vector<TimeNs> last(kWriters, -1);
  bool ordered = true;
  const auto read = [&] {
    for (const LogRecord& record : queue.take_all()) {
      TimeNs& before = last[static_cast<std::size_t>(record.text[0] - 'a')];
      ordered = ordered && before < record.time;
      before = record.time;
      ++taken;
    }
  };
  while (taken + queue.dropped() < kWriters * kEach) read();
  for (std::thread& writer : writers) writer.join();
  read();
  CHECK(ordered);
  CHECK(taken + queue.dropped() == kWriters * kEach);
  CHECK(taken > 0);
}

TEST_CASE("log: the sink is told of each record, with the parts as one text") {
  (void)log_queue().take_all();
  static int told = 0;
  static const LogSink sink{[](void* context) noexcept { ++*static_cast<int*>(context); }, &told};
  set_log_sink(&sink);
  log(LogLevel::warning, "instance ", 3, " was slow");
  set_log_sink(nullptr);
  log(LogLevel::info, "nobody listens");
  CHECK(told == 1);
  const std::vector<LogRecord> records = log_queue().take_all();
  REQUIRE(records.size() == 2);
  CHECK(records[0].text == "instance 3 was slow");
  CHECK(records[0].level == LogLevel::warning);
  CHECK(records[1].time >= records[0].time);
}

}  // namespace
