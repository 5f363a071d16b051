// The parts of an engine and how they hold together; the inside of engine.h.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fork_guard.h"
#include "engine/blocking_caller.h"
#include "engine/engine.h"
#include "engine/executor.h"
#include "engine/resolver.h"
#include "engine/scheduler.h"
#include "engine/upkeep.h"
#include "engine/warmup.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// What a request lies in before it is accepted.
struct Engine::Place {
  BlockRef payload;
  EngineRequest* request = nullptr;
};

// Members in the order of their dependence: each may use those above it.
// Threads: runners (one per instance) and the keeper are started by start_threads(), joined by
// close(). Owns: everything.
struct Engine::Core {
  Core(std::unique_ptr<Backend> model, Findings found, const EngineOptions& filled,
       std::uint32_t preferred, const Clock& time);

  // Null where memory or records are missing. Whoever does not accept() puts the record back.
  [[nodiscard]] Place find_place(std::span<const TensorView> inputs, const PayloadPlan& plan);
  // Once the credits were taken.
  [[nodiscard]] EngineRequest* accept(Place& place, std::span<const TensorView> inputs,
                                      const PayloadPlan& plan, const Call& call);
  [[noreturn]] void refuse_for_want_of_room();
  [[noreturn]] void refuse_for_want_of_memory();
  void start_threads();
  void runner_main(std::uint32_t me);
  void keeper_main();
  void close(bool drain, DurationNs timeout);
  void refuse();
  void answer_queued();
  [[nodiscard]] bool drain_until(TimeNs until);
  [[nodiscard]] bool await_runs(TimeNs until);
  void join_threads();

  const EngineOptions options;  // automatic ones filled in
  const std::uint32_t preferred_rows;
  const Clock& clock;
  const ForkGuard fork_guard;
  const Findings findings;
  std::unique_ptr<Backend> backend;  // null once closed
  std::vector<std::string> backend_notes;
  TensorPool::Ref pool;
  Upkeep upkeep;
  Resolver<StdAtom> resolver;
  Scheduler<StdAtom> scheduler;
  Executor<StdAtom> executor;
  BlockingCaller<StdAtom> caller;

  std::atomic<bool> stopping{false};
  std::vector<std::thread> threads;
  std::mutex close_mutex;  // held by one close() at a time; nothing on a request's path takes it
  bool is_closed = false;  // under close_mutex
};

}  // namespace inferkit
