#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/thread_setup.h"
#include "base/usable_cores.h"
#include "base/usable_memory.h"
#include "engine/engine_core.h"

namespace inferkit {
namespace {

// Large enough for what one machine does for one model, small enough to leave the process alive.
std::uint64_t automatic_memory_bytes(const EngineOptions& options) noexcept {
  constexpr std::uint64_t kLeast = 1ULL << 30;
  const std::uint64_t usable = usable_memory_bytes();  // 0: nobody knows
  const std::uint64_t most = usable == 0 ? UINT64_MAX : usable / 4 * 3;
  return std::min(most, std::max({kLeast, 4 * options.max_pending_bytes, usable / 2}));
}

EngineOptions fill_in(EngineOptions options) {
  check_ranges(options);
  if (options.max_memory_bytes == 0) options.max_memory_bytes = automatic_memory_bytes(options);
  // Beside the queue there must be room for batches, runs and results.
  options.max_pending_bytes =
      std::min(options.max_pending_bytes, std::max<std::uint64_t>(1, options.max_memory_bytes / 4));
  if (options.instances == 0) options.instances = std::min(usable_cores(), kMaxInstances);
  return options;
}

Error forked_error() {
  return {ErrorCode::forked_session,
          "this session was opened before fork() and has no threads in this process; open it after "
          "the fork (gunicorn: post_fork hook, Celery: worker_process_init, ASGI: lifespan)"};
}

void refuse_if_forked(const ForkGuard& guard) {
  if (guard.in_child()) throw forked_error();
}

}  // namespace

std::shared_ptr<Engine> Engine::open(std::unique_ptr<Backend> backend, const EngineOptions& options,
                                     DurationNs load_time, const Clock& clock) {
  EngineOptions filled = fill_in(options);
  Findings findings = warm_up(*backend, filled, load_time, clock);
  const bool automatic = filled.max_batch_rows == 0;
  if (automatic) filled.max_batch_rows = kAutoBatchRows;
  if (!findings.signature.batched) filled.max_batch_rows = 1;
  // A limit that the user gave is the user's choice; ours must not make anything slower.
  const std::uint32_t preferred =
      automatic ? findings.latency.cheapest_rows(filled.max_batch_rows) : filled.max_batch_rows;
  auto core =
      std::make_unique<Core>(std::move(backend), std::move(findings), filled, preferred, clock);
  // Before there are threads, which only an engine ends.
  std::shared_ptr<Engine> engine(new Engine(std::move(core)));
  engine->core_->start_threads();
  return engine;
}

Engine::Engine(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Engine::~Engine() {
  if (forked()) {
    // Its locks and threads belong to the parent: touch nothing, leak everything.
    static_cast<void>(core_.release());
    return;
  }
  close(false, kNever);
}

const Signature& Engine::signature() const noexcept { return core_->findings.signature; }
const EngineOptions& Engine::options() const noexcept { return core_->options; }
const Clock& Engine::clock() const noexcept { return core_->clock; }
bool Engine::forked() const noexcept { return core_->fork_guard.in_child(); }
bool Engine::closed() const noexcept { return core_->resolver.credits.closed(); }

EngineRequest* Engine::admit(std::span<const TensorView> inputs, const Call& call, IfFull if_full) {
  refuse_if_forked(core_->fork_guard);
  const PayloadPlan plan = check_inputs(signature(), inputs);
  auto& resolver = core_->resolver;
  if (!resolver.credits.can_hold(plan.bytes)) {
    fail(ErrorCode::invalid_input, "expected inputs of at most ", core_->options.max_pending_bytes,
         " bytes in all (max_pending_bytes, and a quarter of max_memory_bytes), got ", plan.bytes);
  }
  std::unique_ptr<Parts> parts;
  if (plan.rows > core_->options.max_batch_rows && signature().batched) {
    parts = std::make_unique<Parts>(plan.rows, core_->preferred_rows);
  }
  const bool announce = if_full == IfFull::announce;
  for (bool last_try = !announce;; last_try = true) {
    // First, so that what is refused for want of it has taken no room that somebody waits for.
    Place place = core_->find_place(inputs, plan);
    using Take = Credits<StdAtom>::Take;
    Take take = Take::full;
    if (place.request != nullptr) {
      take = announce ? resolver.credits.take_or_announce(plan.bytes)
                      : resolver.credits.take(plan.bytes);
      if (take == Take::taken) {
        place.request->parts = std::move(parts);
        return core_->accept(place, inputs, plan, call);
      }
      resolver.slab.put_back(place.request);
    }
    if (take == Take::closed || closed()) {
      fail(ErrorCode::session_closed, "the session is closed");
    }
    if (place.request != nullptr) {
      if (announce) return nullptr;
      core_->refuse_for_want_of_room();
    }
    // Whoever is in flight, or has an answer to take, will give memory back; not so results that
    // callers keep, for who knows how long. One look more once we are known to wait.
    if (last_try && announce && resolver.is_busy()) return nullptr;
    if (last_try) core_->refuse_for_want_of_memory();
    resolver.credits.announce();
  }
}

void Engine::Core::refuse_for_want_of_room() {
  resolver.ledger.rejected.add();
  fail(ErrorCode::queue_full, "the queue is full: ", resolver.credits.requests(), " of ",
       options.max_pending, " requests and ", resolver.credits.bytes(), " of ",
       options.max_pending_bytes, " bytes are accepted and not yet answered");
}

void Engine::Core::refuse_for_want_of_memory() {
  resolver.ledger.rejected.add();
  const std::uint64_t used = pool->stats().bytes_in_use;
  fail(ErrorCode::queue_full,
       "there is no memory, or no record, for a request more: requests, answers that nobody took "
       "yet, batches, runs and results that callers keep use ",
       used, " of ", options.max_memory_bytes, " bytes (max_memory_bytes)");
}

Engine::Place Engine::Core::find_place(std::span<const TensorView> inputs,
                                       const PayloadPlan& plan) {
  Place place;
  place.payload = pool->try_allocate(plan.bytes);
  EngineRequest* request = place.payload ? resolver.slab.take() : nullptr;
  if (request != nullptr && !request->lane_dims.assign(findings.signature, inputs)) {
    resolver.slab.put_back(std::exchange(request, nullptr));
  }
  place.request = request;
  return place;
}

EngineRequest* Engine::Core::accept(Place& place, std::span<const TensorView> inputs,
                                    const PayloadPlan& plan, const Call& call) {
  EngineRequest* request = place.request;
  write_payload(findings.signature, inputs, place.payload.data());
  request->payload = std::move(place.payload);
  request->lane_hash = plan.lane_hash;
  request->lane = nullptr;
  request->charged_bytes = plan.bytes;
  request->rows = plan.rows;
  request->priority = call.priority;
  request->deadline = call.deadline;
  request->sink = call.sink;
  request->user = call.user;
  request->arrival = clock.now();
  resolver.ledger.accepted.add();
  request->open();
  return request;
}

std::uint32_t Engine::room_epoch() const noexcept { return core_->resolver.credits.epoch(); }
void Engine::wait_for_room(std::uint32_t epoch, TimeNs until) noexcept {
  core_->resolver.credits.wait(epoch, until);
}
void Engine::set_room_hook(std::function<void()> hook) {
  core_->resolver.room_hook = std::move(hook);
}

void Engine::start(EngineRequest* request) noexcept { core_->caller.start(request); }
bool Engine::await(EngineRequest* request, TimeNs until) noexcept {
  return core_->caller.await(request, until);
}
void Engine::abandon(EngineRequest* request) noexcept {
  if (!forked()) core_->caller.abandon(request);
}

void Engine::submit(EngineRequest* request) noexcept {
  core_->scheduler.push(request);
  static_cast<void>(core_->scheduler.ring({}));
}
void Engine::enqueue(EngineRequest* request) noexcept { core_->scheduler.push(request); }

bool Engine::runs_within(DurationNs time, std::uint32_t rows, bool on_loop) const noexcept {
  const DurationNs predicted = core_->scheduler.predicted(rows, on_loop);
  return predicted > 0 && predicted <= time;
}

DurationNs Engine::flush(EngineSink* sink, DurationNs budget) noexcept {
  const TimeNs start = core_->clock.now();
  Role<StdAtom> role;
  role.kind = Role<StdAtom>::Kind::loop;
  role.loop = sink;
  role.budget = budget;
  int lease = core_->scheduler.ring(role);
  TimeNs now = start;
  const FlushDenormals flush;
  while (lease != kNoLease) {
    core_->executor.run(core_->scheduler.batch(lease), static_cast<std::uint32_t>(lease),
                        RanOn::event_loop, sink);
    now = core_->clock.now();
    role.budget = budget - (now - start);
    lease = core_->scheduler.finish(lease, role);
  }
  return now - start;
}

bool Engine::cancel(EngineRequest* request, bool running_too) noexcept {
  if (forked()) return false;  // the parent's
  bool was_queued = false;
  const bool won = core_->resolver.leave(request, RequestState::cancelled, running_too, was_queued);
  if (was_queued) core_->caller.tell_of_tombstone();
  return won;
}

Error Engine::error_of(const EngineRequest& request) const {
  if (!is_terminal(request.state()) && forked()) return forked_error();
  switch (request.state()) {
    case RequestState::failed:
      return *request.error;
    case RequestState::expired: {
      const double seconds =
          static_cast<double>(std::max<DurationNs>(0, request.deadline - request.arrival)) /
          static_cast<double>(kSecond);
      return {ErrorCode::deadline_exceeded,
              text("the deadline passed ", seconds, " s after the request was accepted")};
    }
    default:
      return {ErrorCode::session_closed, "the session was closed before the request ran"};
  }
}

void Engine::release(EngineRequest* request) noexcept {
  // Whoever waits in the parent is not woken by a child that lets go of its copy.
  if (core_->resolver.credits.announced() && forked()) return core_->resolver.slab.release(request);
  core_->resolver.release(request);
}
void Engine::note_undeliverable() noexcept { core_->resolver.ledger.undeliverable.add(); }

bool Engine::pool_is_pinned() const noexcept {
  // A view of one row keeps its whole batch.
  constexpr std::uint64_t kMost = 512ULL << 20;
  return core_->pool->stats().bytes_in_use > std::min(kMost, core_->options.max_memory_bytes / 2);
}

EngineStats Engine::stats() const {
  EngineStats stats;
  core_->resolver.ledger.fill(stats);
  stats.in_flight = core_->resolver.slab.count_in_flight();
  stats.queued_bytes = core_->resolver.credits.bytes();
  stats.pool = core_->pool->stats();
  return stats;
}

std::string Engine::explain() const {
  const EngineOptions& options = core_->options;
  std::string out = options.name.empty() ? "session" : options.name;
  const std::uint32_t preferred = core_->preferred_rows;
  if (signature().batched) {
    out += text(": batches of up to ", preferred, " rows (one request: ", options.max_batch_rows,
                "), ", options.instances, " instances\n");
  } else {
    out += text(": one request at a time, ", options.instances, " instances\n");
  }
  out += text("batching: ", signature().reason, "\n");
  if (signature().batched && preferred < options.max_batch_rows) {
    out += text("larger batches than ", preferred, " were not faster per row in warm-up\n");
  }
  out += text("memory beside the weights: at most ", options.max_memory_bytes, " bytes\n");
  for (const std::string& note : core_->findings.notes) out += note + "\n";
  for (const std::string& note : core_->backend_notes) out += note + "\n";
  return out;
}

void Engine::answer_queued() noexcept {
  if (forked()) return;
  core_->refuse();
  core_->answer_queued();
}

bool Engine::await_runs(TimeNs until) noexcept { return forked() || core_->await_runs(until); }

void Engine::stop_runs() noexcept {
  if (forked()) return;
  const std::lock_guard lock(core_->close_mutex);  // whoever has closed has dropped the backend
  if (!core_->is_closed) core_->executor.stop();
}

void Engine::close(bool drain, DurationNs timeout) noexcept {
  if (!forked()) core_->close(drain, timeout);
}

}  // namespace inferkit
