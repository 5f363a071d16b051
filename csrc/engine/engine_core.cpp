#include "engine/engine_core.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/failpoint.h"
#include "base/start_thread.h"
#include "base/thread_setup.h"
#include "engine/probe.h"
#include "engine/runner.h"
#include "memory/host_resource.h"

namespace inferkit {
namespace {

// Sleepers are looked after this often while the engine closes, whatever was missed.
constexpr DurationNs kCloseStep = 20 * kMillisecond;

}  // namespace

Engine::Core::Core(std::unique_ptr<Backend> model, Findings found, const EngineOptions& filled,
                   std::uint32_t preferred, const Clock& time)
    : options(filled),
      preferred_rows(preferred),
      clock(time),
      findings(std::move(found)),
      backend(std::move(model)),
      backend_notes(backend->notes()),
      pool(TensorPool::create(host_resource(), options.max_memory_bytes, clock)),
      upkeep(*pool, backend->pool()),
      resolver(options.max_pending, options.max_pending_bytes, options.max_batch_rows),
      scheduler({options.max_batch_rows, preferred_rows, options.max_delay_ns, options.instances},
                resolver, clock),
      executor(*backend, findings.signature, findings.shapes_proven, *pool, resolver, clock),
      caller(scheduler, resolver, executor, clock) {
  scheduler.seed(findings.latency, Probe::kOpenDim);
  scheduler.watch(upkeep);
  scheduler.stop_overruns_of(*backend);
}

void Engine::Core::start_threads() try {
  threads.reserve(options.instances + std::size_t{1});
  for (std::uint32_t i = 0; i < options.instances; ++i) {
    INFERKIT_FAILPOINT("engine.start_thread");
    threads.push_back(start_thread([this, i] { runner_main(i); }));
  }
  INFERKIT_FAILPOINT("engine.start_thread");
  threads.push_back(start_thread([this] { keeper_main(); }));
} catch (...) {
  join_threads();  // those that did start
  throw;
}

void Engine::Core::runner_main(std::uint32_t me) {
  prepare_own_thread(text("inferkit-run", me).c_str());  // so short that it needs no heap
  serve_batches<StdAtom>(me, scheduler, executor, stopping);
}

void Engine::Core::keeper_main() {
  prepare_own_thread("inferkit-keeper");
  TimeNs due = kNever;
  TimeNs upkeep_due = 0;
  while (scheduler.keeper().next(due, clock)) {
    static_cast<void>(scheduler.ring({}));
    // Deadlines first. Giving much back takes the system some milliseconds.
    if (clock.now() < upkeep_due || !upkeep.wanted()) continue;
    upkeep.run();
    upkeep_due = clock.now() + Upkeep::kEvery / 2;
  }
}

void Engine::Core::close(bool drain, DurationNs timeout) {
  const std::lock_guard lock(close_mutex);
  if (is_closed) return;
  refuse();
  const TimeNs now = clock.now();
  const TimeNs until = timeout == kNever || timeout > kNever - now ? kNever : now + timeout;
  if (drain) static_cast<void>(drain_until(until));
  answer_queued();
  INFERKIT_FAILPOINT("engine.closing");
  static_cast<void>(await_runs(kNever));
  join_threads();
  backend.reset();
  is_closed = true;
}

void Engine::Core::refuse() {
  resolver.credits.close();
  resolver.room_made();  // whoever waits for room learns that there will be none
}

void Engine::Core::answer_queued() {
  scheduler.begin_closing();
  static_cast<void>(scheduler.ring({}));
}

// After answer_queued(). True: no batch runs, and everybody has been told; false: `until` came.
bool Engine::Core::await_runs(TimeNs until) {
  if (!drain_until(until)) return false;
  while (!scheduler.wait_all_free(std::min(until, clock.now() + kCloseStep))) {
    if (clock.now() >= until) return false;
  }
  return true;
}

// True: nothing accepted is unanswered; false: `until` came first.
bool Engine::Core::drain_until(TimeNs until) {
  for (;;) {
    static_cast<void>(scheduler.ring({}));
    const std::uint32_t epoch = resolver.credits.epoch();
    if (!resolver.credits.announce_unless_idle()) return true;
    const TimeNs now = clock.now();
    if (now >= until) return false;
    resolver.credits.wait(epoch, std::min(until, now + kCloseStep));
  }
}

bool Engine::drain(TimeNs until) noexcept {
  if (forked()) return true;
  core_->refuse();
  return core_->drain_until(until);
}

void Engine::Core::join_threads() {
  stopping.store(true, std::memory_order_release);
  scheduler.runners().notify_all();
  scheduler.keeper().stop();
  INFERKIT_FAILPOINT("engine.joining");
  for (std::thread& thread : threads) thread.join();
  threads.clear();
}

}  // namespace inferkit
