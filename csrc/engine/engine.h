// A model being served: the door that the bindings knock on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "backend/backend.h"
#include "base/clock.h"
#include "batch/request.h"
#include "engine/options.h"
#include "engine/stats.h"

namespace inferkit {

using EngineRequest = Request<StdAtom>;
using EngineSink = Sink<StdAtom>;

// What a call asks for beside its inputs.
struct Call {
  TimeNs deadline = kNever;
  std::int32_t priority = 0;
  EngineSink* sink = nullptr;  // null: the caller will start() and await()
  void* user = nullptr;        // kept in the request for the sink
};

// What admit() does when there is no room.
enum class IfFull : std::uint8_t {
  fail,     // throw Error(queue_full)
  announce  // return null; read room_epoch() before, then wait_for_room() or the room hook
};

// Every request that admit() returned is resolved exactly once; the sink side then belongs to the
// caller until release().
// Threads: every method from any thread, unless it says otherwise. Callers must not hold the GIL
// where "Blocks" says so. Owns: backend, pool, slab, runners and keeper.
// Throws: only what each method names.
class Engine {
 public:
  // Blocks: warm-up. Throws: Error(model_load); Error(system_limit) for want of threads;
  // Error(invalid_input) for options.
  // `load_time`: how long the backend took to load, which bounds the warm-up from below.
  [[nodiscard]] static std::shared_ptr<Engine> open(std::unique_ptr<Backend> backend,
                                                    const EngineOptions& options,
                                                    DurationNs load_time = 0,
                                                    const Clock& clock = steady_clock());
  ~Engine();  // as close(false, unlimited); in a forked child: leaks instead

  [[nodiscard]] const Signature& signature() const noexcept;
  [[nodiscard]] const EngineOptions& options() const noexcept;  // automatic ones filled in
  [[nodiscard]] const Clock& clock() const noexcept;

  // Checks the inputs, takes credits, copies the inputs. The views are used only during the call.
  // Blocks: for the copy (release the GIL from 64 KiB on). Throws: Error(invalid_input),
  // Error(queue_full), Error(session_closed), Error(forked_session), std::bad_alloc where there is
  // no heap to say so or to keep the parts of many rows. Whatever it throws, nothing was taken.
  [[nodiscard]] EngineRequest* admit(std::span<const TensorView> inputs, const Call& call,
                                     IfFull if_full);
  [[nodiscard]] std::uint32_t room_epoch() const noexcept;
  // Blocks: until there may be room, `until`, a signal, or close().
  void wait_for_room(std::uint32_t epoch, TimeNs until) noexcept;
  // Called from any thread when room was made that somebody announced; must not block or throw.
  // Set before the first admit(announce) of a request with a sink.
  void set_room_hook(std::function<void()> hook);

  // --- a caller that blocks (call.sink == null) ------------------------------------------------
  // Queues the request; if nothing else is to be done first, runs its batch on this thread.
  // Blocks: for at most one run.
  void start(EngineRequest* request) noexcept;
  // True once the request is resolved (its own deadline included); false at `until` or a signal.
  // Blocks: yes.
  [[nodiscard]] bool await(EngineRequest* request, TimeNs until) noexcept;
  // The caller leaves without the answer (KeyboardInterrupt): cancels if it still can, releases.
  void abandon(EngineRequest* request) noexcept;

  // --- a caller with a sink ---------------------------------------------------------------------
  // Queues and rings. Never computes on this thread.
  void submit(EngineRequest* request) noexcept;
  // Queues without ringing: a flush() by the same thread must follow.
  void enqueue(EngineRequest* request) noexcept;
  // Whether a batch of `rows` rows is expected to take no longer, in flush() where it is `on_loop`;
  // not where nothing is known yet.
  [[nodiscard]] bool runs_within(DurationNs time, std::uint32_t rows,
                                 bool on_loop = false) const noexcept;
  // Runs batches that hold requests of `sink` on this thread until there are none, an instance is
  // not free, or `budget` is spent; what is left goes to the runners. The answers are in
  // sink->answers, without a wake(). Returns the time spent. Blocks: for the runs.
  DurationNs flush(EngineSink* sink, DurationNs budget) noexcept;
  // By the owner of the sink side. True: it was still queued (or, with `running_too`, running) and
  // is now cancelled: it will not be delivered, the owner releases it. False: it is resolved
  // otherwise or will be, and is or will be delivered.
  [[nodiscard]] bool cancel(EngineRequest* request, bool running_too) noexcept;

  // --- after the answer -------------------------------------------------------------------------
  // Why a failed, expired or closed request has no result. Throws: std::bad_alloc.
  [[nodiscard]] Error error_of(const EngineRequest& request) const;
  void release(EngineRequest* request) noexcept;
  // An answer that nobody was left to take.
  void note_undeliverable() noexcept;
  // Whether so much memory is in use that further results are better copied: views pin theirs.
  [[nodiscard]] bool pool_is_pinned() const noexcept;

  [[nodiscard]] EngineStats stats() const;
  [[nodiscard]] std::string explain() const;
  // Refuses new requests from now on and waits for the accepted ones; false: `until` came first.
  // For a caller that looks up from time to time before it closes. Blocks: yes.
  [[nodiscard]] bool drain(TimeNs until) noexcept;
  // Refuses new requests and answers the queued ones with session_closed.
  void answer_queued() noexcept;
  // After answer_queued(): waits for running batches; false: `until` came first. Blocks: yes.
  [[nodiscard]] bool await_runs(TimeNs until) noexcept;
  // After answer_queued(): running batches end at the model's next operator, with session_closed.
  // Blocks: while another thread is in close().
  void stop_runs() noexcept;
  // Refuses new requests; drain: waits for the accepted ones (at most `timeout`); then answers what
  // is still queued with session_closed, waits for running batches, joins the threads and drops
  // the model. Idempotent; nothing in a forked child. Blocks: yes.
  void close(bool drain, DurationNs timeout) noexcept;
  [[nodiscard]] bool closed() const noexcept;
  // True in a child of the process that opened the engine.
  [[nodiscard]] bool forked() const noexcept;

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 private:
  struct Core;
  struct Place;
  explicit Engine(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace inferkit
