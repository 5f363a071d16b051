#include "engine/upkeep.h"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "memory/host_resource.h"
#include "support/desk.h"
#include "support/engine_rig.h"
#include "support/patience.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kRowFloats = kMiB;  // 4 MiB a row

EngineRequest* submit_rows(Rig& rig, std::int64_t rows) {
  std::vector<float> x(static_cast<std::size_t>(rows) * kRowFloats, 1.0F);
  const TensorView view{DType::float32, shape_of({rows, std::int64_t{kRowFloats}}),
                        reinterpret_cast<std::byte*>(x.data())};
  Call call;
  call.sink = &rig.box;
  EngineRequest* request = rig.engine().admit({&view, 1}, call, IfFull::fail);
  rig.engine().submit(request);
  return rig.box.take();
}

// Lets time pass until the keeper has brought the pool down to `bytes`. False: patience ran out.
bool comes_down_to(Rig& rig, FakeClock& clock, std::uint64_t bytes) {
  const std::atomic<std::uint32_t> nobody{0};
  const TimeNs until = steady_clock().now() + kPatience;
  while (rig.stats().pool.bytes_reserved > bytes) {
    if (steady_clock().now() >= until) return false;
    clock.advance(Upkeep::kEvery);
    parker::wait(nobody, 0, steady_clock().now() + kMillisecond);
  }
  return true;
}

TEST_CASE("upkeep: memory goes back though nobody asks the session any more") {
  FakeClock clock;
  Rig rig(row_wise_signature(kRowFloats), bare_options(), clock);
  rig.engine().release(submit_rows(rig, 10));
  CHECK(rig.stats().pool.bytes_reserved > 40 * kMiB);
  CHECK(comes_down_to(rig, clock, kMiB));
}

TEST_CASE("upkeep: the keeper is never told of a time that has passed, busy or idle") {
  Desk desk;
  const PoolRef pool = TensorPool::create(host_resource(), 100 * kMiB, desk.clock);
  const BlockRef held = pool->allocate(40 * kMiB);
  Upkeep upkeep(*pool, nullptr);
  desk.scheduler.watch(upkeep);
  CHECK(desk.ring() == kNoLease);
  const TimeNs first = desk.scheduler.keeper().due();
  CHECK(first == desk.clock.now() + Upkeep::kEvery);
  desk.clock.advance(Upkeep::kEvery - 1);
  CHECK(desk.ring() == kNoLease);  // idle once more, just before the alarm
  CHECK(desk.scheduler.keeper().due() == first);
  static_cast<void>(desk.queue({}));
  REQUIRE(desk.ring_as_runner() == 0);
  desk.clock.advance(1);
  CHECK(desk.ring() == kNoLease);  // as the keeper does
  CHECK(desk.scheduler.keeper().due() == first + Upkeep::kEvery);
}

TEST_CASE("upkeep: a session that holds little wakes nobody for it") {
  FakeClock clock;
  Rig rig(row_wise_signature(kRowFloats), bare_options(), clock);
  rig.engine().release(submit_rows(rig, 2));
  for (int i = 0; i < 100; ++i) clock.advance(Upkeep::kEvery);
  rig.engine().release(submit_rows(rig, 2));
  CHECK(rig.stats().keeper_wakes == 0);
  CHECK(rig.stats().pool.bytes_reserved > 8 * kMiB);
}

}  // namespace
