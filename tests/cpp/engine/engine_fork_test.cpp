#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// In the child: 0 when all of it holds.
int try_inherited(std::shared_ptr<Engine>& engine) {
  if (!engine->forked()) return 1;
  Values<float> x(DType::float32, {1, 1}, {1});
  const TensorView view = x.view();
  const auto error =
      thrown([&] { static_cast<void>(engine->admit({&view, 1}, {}, IfFull::announce)); });
  if (!error || error->code() != ErrorCode::forked_session) return 2;
  if (!says(error->message(), "fork", "post_fork")) return 3;
  if (engine->stats().accepted != 1) return 4;
  engine->close(true, kNever);  // its threads are not ours to join
  engine.reset();
  return 0;
}

TEST_CASE("engine: a forked child is refused, told why, and can let go of what it inherited") {
  const auto backend = std::make_shared<ScriptedBackend>(row_wise_signature(1));
  auto engine = Engine::open(std::make_unique<SharedBackend>(backend), bare_options());
  Mailbox box;
  Call call;
  call.sink = &box;
  Values<float> x(DType::float32, {1, 1}, {1});
  const TensorView view = x.view();
  backend->shut_gate();
  engine->submit(engine->admit({&view, 1}, call, IfFull::fail));
  backend->wait_until_begun(1);  // the child inherits a run that nobody in it will finish
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);  // hanging is failing
    _exit(try_inherited(engine));
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK_FALSE(engine->forked());
  backend->open_gate();
  CHECK(collect(*engine, box.take()).values == answer_to({1}));
  engine->close(true, kNever);
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: a forked child that lets go of an answer wakes nobody who waits for room") {
  EngineOptions options = bare_options();
  options.max_pending = 1;
  Rig rig(options);
  std::atomic<int> told{0};  // each process has its own; a real hook writes to what both have
  rig.engine().set_room_hook([&told] { ++told; });
  EngineRequest* answered = rig.start({3});
  REQUIRE(rig.engine().await(answered, kNever));
  rig.occupy();
  REQUIRE(rig.admit({1}, {}, IfFull::announce) == nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);
    rig.engine().release(answered);
    _exit(told);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(told == 0);
  rig.engine().release(answered);
  CHECK(told == 1);
  rig.backend().open_gate();
}

}  // namespace
