#include "base/failpoint.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

void statement() { INFERKIT_FAILPOINT("failpoint_test.statement"); }
bool expression() noexcept { return INFERKIT_FAILS("failpoint_test.expression"); }

TEST_CASE("failpoint: unarmed it does nothing but count") {
  failpoint::Point& point = failpoint::at("failpoint_test.expression");
  const auto visits = point.visits();
  const auto failures = point.failures();
  CHECK_FALSE(expression());
  CHECK_FALSE(expression());
  CHECK(point.visits() == visits + 2);
  CHECK(point.failures() == failures);
}

TEST_CASE("failpoint: throws the error it was given, in its scope only") {
  {
    const failpoint::Scoped armed("failpoint_test.statement",
                                  failpoint::throw_error(ErrorCode::backend, "planned"));
    try {
      statement();
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::backend);
      CHECK(error.message() == "planned");
    }
  }
  CHECK_NOTHROW(statement());
}

TEST_CASE("failpoint: skip and times choose the visits") {
  const failpoint::Scoped armed("failpoint_test.expression", {.skip = 2, .times = 3});
  std::vector<bool> failed;
  for (int visit = 0; visit < 7; ++visit) failed.push_back(expression());
  CHECK(failed == std::vector<bool>{false, false, true, true, true, false, false});
}

std::vector<bool> throws_of_the_dice(double probability, std::uint64_t seed) {
  const failpoint::Scoped armed("failpoint_test.expression",
                                {.probability = probability, .seed = seed});
  std::vector<bool> failed;
  for (int visit = 0; visit < 1000; ++visit) failed.push_back(expression());
  return failed;
}

TEST_CASE("failpoint: chance is seeded and about right") {
  const std::vector<bool> first = throws_of_the_dice(0.25, 5);
  CHECK(first == throws_of_the_dice(0.25, 5));
  CHECK(first != throws_of_the_dice(0.25, 6));
  const auto hits = std::count(first.begin(), first.end(), true);
  CHECK(hits > 180);
  CHECK(hits < 320);
  const std::vector<bool> never = throws_of_the_dice(0.0, 1);
  CHECK(std::count(never.begin(), never.end(), true) == 0);
}

TEST_CASE("failpoint: a gate holds visitors until it opens") {
  failpoint::Gate gate;
  const failpoint::Scoped armed("failpoint_test.statement", failpoint::block_at(gate));
  std::atomic<int> through{0};
  const auto visit = [&] {
    statement();
    ++through;
  };
  std::thread first(visit);
  std::thread second(visit);
  gate.wait_for_visitors(2);
  CHECK(through == 0);
  gate.open();
  first.join();
  second.join();
  CHECK(through == 2);
}

TEST_CASE("failpoint: an action may disarm its own point, or arm it anew") {
  int calls = 0;
  const failpoint::Scoped armed("failpoint_test.expression", {.action = [&] {
                                  ++calls;
                                  failpoint::at("failpoint_test.expression").disarm();
                                }});
  CHECK(expression());
  CHECK_FALSE(expression());
  CHECK(calls == 1);
}

TEST_CASE("failpoint: all() lists what was met, by name") {
  statement();
  CHECK_FALSE(expression());
  std::vector<std::string> names;
  for (const failpoint::Point* point : failpoint::all()) names.push_back(point->name());
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(std::count(names.begin(), names.end(), "failpoint_test.statement") == 1);
}

}  // namespace
