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
  // Blocks: warm-up. Throws: Error(model_load), Error(invalid_input) for options.
  static std::shared_ptr<Engine> open(std::unique_ptr<Backend> backend,
                                      const EngineOptions& options,
                                      const Clock& clock = steady_clock());
  virtual ~Engine() = default;  // as close(false, unlimited); in a forked child: leaks instead

  [[nodiscard]] virtual const Signature& signature() const noexcept = 0;
  [[nodiscard]] virtual const EngineOptions& options() const noexcept = 0;  // automatic ones filled in
  [[nodiscard]] virtual const Clock& clock() const noexcept = 0;

  // Checks the inputs, takes credits, copies the inputs. The views are used only during the call.
  // Blocks: for the copy (release the GIL from 64 KiB on). Throws: Error(invalid_input),
  // Error(queue_full), Error(session_closed), Error(forked_session).
  [[nodiscard]] virtual EngineRequest* admit(std::span<const TensorView> inputs, const Call& call,
                                             IfFull if_full) = 0;
  [[nodiscard]] virtual std::uint32_t room_epoch() const noexcept = 0;
  // Blocks: until there may be room, `until`, a signal, or close().
  virtual void wait_for_room(std::uint32_t epoch, TimeNs until) noexcept = 0;
  // Called from any thread when room was made that somebody announced; must not block or throw.
  // Set before the first admit(announce) of a request with a sink.
  virtual void set_room_hook(std::function<void()> hook) = 0;

  // --- a caller that blocks (call.sink == null) ------------------------------------------------
  // Queues the request; if nothing else is to be done first, runs its batch on this thread.
  // Blocks: for at most one run.
  virtual void start(EngineRequest* request) noexcept = 0;
  // True once the request is resolved (its own deadline included); false at `until` or a signal.
  // Blocks: yes.
  [[nodiscard]] virtual bool await(EngineRequest* request, TimeNs until) noexcept = 0;
  // The caller leaves without the answer (KeyboardInterrupt): cancels if it still can, releases.
  virtual void abandon(EngineRequest* request) noexcept = 0;

  // --- a caller with a sink ---------------------------------------------------------------------
  // Queues and rings. Never computes on this thread.
  virtual void submit(EngineRequest* request) noexcept = 0;
  // Queues without ringing: a flush() by the same thread must follow.
  virtual void enqueue(EngineRequest* request) noexcept = 0;
  // Whether a batch of `rows` rows is expected to take less than the inline budget.
  [[nodiscard]] virtual bool runs_inline(std::uint32_t rows) const noexcept = 0;
  // Runs batches that hold requests of `sink` on this thread until there are none, an instance is
  // not free, or `budget` is spent; what is left goes to the runners. The answers are in
  // sink->answers, without a wake(). Returns the time spent. Blocks: for the runs.
  virtual DurationNs flush(EngineSink* sink, DurationNs budget) noexcept = 0;
  // By the owner of the sink side. True: it was still queued (or, with `running_too`, running) and
  // is now cancelled: it will not be delivered, the owner releases it. False: it is resolved
  // otherwise or will be, and is or will be delivered.
  [[nodiscard]] virtual bool cancel(EngineRequest* request, bool running_too) noexcept = 0;

  // --- after the answer ---------------------------------------------------------------------------
  // Why a failed, expired or closed request has no result.
  [[nodiscard]] virtual Error error_of(const EngineRequest& request) const = 0;
  virtual void release(EngineRequest* request) noexcept = 0;
  // An answer that nobody was left to take.
  virtual void note_undeliverable() noexcept = 0;
  // Whether results still held by users pin more than half of the pool's budget: then copy.
  [[nodiscard]] virtual bool pool_is_pinned() const noexcept = 0;

  [[nodiscard]] virtual EngineStats stats() const = 0;
  [[nodiscard]] virtual std::string explain() const = 0;
  // Refuses new requests; drain: waits for the accepted ones (at most `timeout`); then answers what
  // is still queued with session_closed, waits for running batches, joins the threads and drops
  // the model. Idempotent. Blocks: yes.
  virtual void close(bool drain, DurationNs timeout) noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;
  // True in a child of the process that opened the engine.
  [[nodiscard]] virtual bool forked() const noexcept = 0;
};

}  // namespace inferkit
