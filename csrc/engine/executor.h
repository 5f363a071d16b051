// Runs one claimed batch: gather, run, scatter.
#pragma once

#include <memory>
#include <new>
#include <span>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "batch/batch.h"
#include "engine/resolver.h"
#include "memory/tensor_pool.h"

namespace inferkit {

// Threads: run() by whoever holds the lease, outside token and GIL. Owns: nothing.
// Blocks: for the run. Throws: never: a failure is told to the members, or splits the batch, for
// which the heap may be asked but is not needed.
template <class Atom>
class Executor {
 public:
  Executor(Backend& backend, const Signature& signature, bool shapes_proven, TensorPool& pool,
           Resolver<Atom>& resolver, const Clock& clock)
      : backend_(backend),
        signature_(signature),
        shapes_proven_(shapes_proven),
        pool_(pool),
        resolver_(resolver),
        clock_(clock),
        closed_(std::make_shared<const Error>(ErrorCode::session_closed,
                                              "the session was closed while the model ran")) {}

  // Tells running batches to end, for good: their members get session_closed. From any thread.
  void stop() noexcept {
    // relaxed: a run that ends at this very moment and misses it is made again, and ends again.
    stopped_.store(true, std::memory_order_relaxed);
    backend_.stop_runs();
  }

  // `awake`: a sink whose consumer is this very thread and needs no wake.
  void run(Batch<Atom>& batch, std::uint32_t lease, RanOn on, const Sink<Atom>* awake) noexcept {
    try {
      const ResultRef result = compute(batch, lease, on);
      count(batch, on);
      if (batch.has_parts) {
        answer_parts(batch, result, awake);
      } else {
        resolver_.answer(batch, result, awake);
      }
    } catch (const RunStopped&) {
      end_stopped(batch, awake);
    } catch (const Error& error) {
      fail_or_split(batch, resolver_.share(error), awake);
    } catch (const std::bad_alloc&) {
      fail_or_split(batch, resolver_.no_memory(), awake);
    } catch (const std::exception& error) {
      fail_or_split(batch, resolver_.share(ErrorCode::backend, error.what()), awake);
    }
    resolver_.memory_made();  // of what the run needed, and of results that nobody wanted
  }

 private:
  [[nodiscard]] ResultRef compute(Batch<Atom>& batch, std::uint32_t lease, RanOn on) {
    batch.riders.clear();
    for (const Request<Atom>* request : batch.members) {
      const std::uint32_t first = request->parts == nullptr ? 0 : request->parts->done();
      batch.riders.push_back({request->payload.data(), request->next_rows(), first});
    }
    const BlockRef gathered = gather(signature_, batch.riders, pool_, batch.inputs);
    plan_outputs(signature_, batch.rows, shapes_proven_, batch.outputs);
    ResultRef result = ResultRef::adopt(BatchResult::create(pool_, batch.outputs));
    result->rows = batch.rows;
    result->requests = static_cast<std::uint32_t>(batch.members.size());
    result->ran_on = on;
    result->claimed = batch.claimed;
    result->started = clock_.now();
    INFERKIT_FAILPOINT("executor.run");
    backend_.run(batch.inputs, result->outputs(), RunContext{lease, batch.alone, &pool_});
    result->finished = clock_.now();
    check_outputs(batch, *result);
    batch.ended = result->finished;
    batch.on_a_loop = on == RanOn::event_loop;
    batch.took = std::max<DurationNs>(1, result->finished - result->started);
    return result;
  }

  // A model may break its own declaration; a short output must never be sliced.
  void check_outputs(const Batch<Atom>& batch, BatchResult& result) const {
    if (!signature_.batched) return;
    const std::int64_t expected = std::max(batch.rows, 1U);
    for (std::size_t i = 0; i < result.outputs().size(); ++i) {
      const Shape& shape = result.outputs()[i].view.shape;
      if (shape.rank() == 0 || shape[0] != expected) {
        inferkit::fail(ErrorCode::backend, "output '", signature_.outputs[i].name, "' has shape ",
                       to_string(shape), " for a batch of ", expected, " rows");
      }
    }
  }

  void count(const Batch<Atom>& batch, RanOn on) noexcept {
    Ledger<Atom>& ledger = resolver_.ledger;
    ledger.batches.add();
    ledger.rows.add(batch.rows);
    ledger.batch_sizes[std::min<std::size_t>(batch.rows, ledger.batch_sizes.size() - 1)].add();
    if (on == RanOn::lent_thread) ledger.lent_runs.add();
    if (on == RanOn::event_loop) ledger.inline_runs.add();
  }

  // As Resolver::answer(), where members may have had some of their rows only.
  void answer_parts(Batch<Atom>& batch, const ResultRef& result, const Sink<Atom>* awake) noexcept {
    std::uint32_t row = 0;
    std::size_t whole = 0;
    for (Request<Atom>* request : batch.members) {
      const std::uint32_t rows = request->next_rows();
      bool answered = true;
      if (request->parts == nullptr) {
        request->result = result;
        request->first_row = row;
      } else {
        answered = take_part(batch, request, *result, row, awake);
      }
      row += rows;
      if (answered) batch.members[whole++] = request;
    }
    batch.members.resize(whole);
    resolver_.deliver(batch, awake);
  }

  // True: that was its last, and the request has its whole result. False: it is no member any more.
  [[nodiscard]] bool take_part(Batch<Atom>& batch, Request<Atom>* request, BatchResult& result,
                               std::uint32_t first, const Sink<Atom>* awake) noexcept {
    Parts& parts = *request->parts;
    try {
      parts.take(result, first, parts.next_rows(), pool_);
    } catch (const Error& error) {
      fail_alone(request, resolver_.share(error), awake);
      return false;
    } catch (const std::exception&) {
      fail_alone(request, resolver_.no_memory(), awake);
      return false;
    }
    if (parts.rows_left() != 0) {
      if (runs_again(request)) batch.unfinished.push_back(request);
      return false;
    }
    request->result = parts.whole();
    request->first_row = 0;
    return true;
  }

  void fail_alone(Request<Atom>* request, const SharedError& error,
                  const Sink<Atom>* awake) noexcept {
    resolver_.fail(std::span(&request, 1), error, awake);
  }

  // True: it is queued again. False: it ended while its batch ran.
  [[nodiscard]] bool runs_again(Request<Atom>* request) noexcept {
    if (request->move(RequestState::claimed, RequestState::queued)) return true;
    resolver_.bury_after_run(request);
    return false;
  }

  // By stop(), or because it kept a lent thread too long: then a runner makes the run again.
  void end_stopped(Batch<Atom>& batch, const Sink<Atom>* awake) noexcept {
    if (stopped_.load(std::memory_order_relaxed)) return resolver_.fail(batch, closed_, awake);
    batch.took = 0;  // the repeat will tell
    resolver_.ledger.retried_batches.add();
    for (Request<Atom>* request : batch.members) {
      if (runs_again(request)) batch.retries.add(request);
    }
    batch.retries.end_group();
    batch.members.clear();
  }

  // One bad request must not fail its mates: the batch is halved until it stands alone. What kind
  // of error it was decides nothing: ONNX Runtime tells bad values as any of its codes. Of k bad
  // ones among n, never more than min(2k ceil(log2 n), 1.6 n) runs more (docs/adr/0010).
  void fail_or_split(Batch<Atom>& batch, const SharedError& error,
                     const Sink<Atom>* awake) noexcept {
    batch.took = 0;
    batch.ran_out_of_memory = error->code() == ErrorCode::out_of_memory;
    if (batch.members.size() == 1) {
      if (batch.ran_out_of_memory && makes_smaller_parts(*batch.members.front())) {
        resolver_.ledger.retried_batches.add();
        Request<Atom>* request = batch.members.front();
        if (runs_again(request)) batch.unfinished.push_back(request);
        return batch.members.clear();
      }
      return resolver_.fail(batch, error, awake);
    }
    resolver_.ledger.retried_batches.add();
    const std::size_t parts = batch.members.size() <= kAloneUpTo ? batch.members.size() : 2;
    for (std::size_t part = 0; part < parts; ++part) {
      for (std::size_t i = part; i < batch.members.size(); i += parts) {
        if (runs_again(batch.members[i])) batch.retries.add(batch.members[i]);
      }
      batch.retries.end_group();
    }
    batch.members.clear();
  }

  [[nodiscard]] static bool makes_smaller_parts(Request<Atom>& request) noexcept {
    if (request.parts == nullptr || request.parts->next_rows() == 1) return false;
    request.parts->split(request.parts->next_rows() / 2);
    return true;
  }

  // So few run alone after a failure: to halve on costs as much for one bad request, more for two.
  static constexpr std::size_t kAloneUpTo = 6;

  Backend& backend_;
  const Signature& signature_;
  const bool shapes_proven_;
  TensorPool& pool_;
  Resolver<Atom>& resolver_;
  const Clock& clock_;
  const SharedError closed_;
  typename Atom::template Atomic<bool> stopped_{false};
};

}  // namespace inferkit
