#include "engine/warmup.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/thread_setup.h"
#include "engine/probe.h"
#include "engine/row_check.h"

namespace inferkit {
namespace {

constexpr DurationNs kLeastTime = 250 * kMillisecond;
constexpr DurationNs kLeastGain = 10 * kMicrosecond;
constexpr DurationNs kMeasureTime = 60 * kMillisecond;
constexpr int kWantedRounds = 12;
constexpr int kMostRounds = 51;

DurationNs time_once(Probe& probe, const std::vector<ProbeRow>& rows, bool alone,
                     const Clock& clock) {
  const TimeNs start = clock.now();
  static_cast<void>(probe.run(rows, alone));
  return clock.now() - start;
}

// 1, 2, 4, 8, 12, 16, 24, ...: as LatencyTable tells sizes apart, less the two that matter least.
std::uint32_t next_size(std::uint32_t rows) noexcept {
  if (rows < 8) return rows * 2;
  return std::has_single_bit(rows) ? rows / 2 * 3 : rows / 3 * 4;
}

// The median: a run that lost its core, or was spared what the others suffered, is no sign of the
// model. Of the first turn only where it was the only one: memory was fresh then.
double typical(std::vector<double>& shares) {
  if (shares.size() > 1) shares.erase(shares.begin());
  std::sort(shares.begin(), shares.end());
  const std::size_t half = shares.size() / 2;
  return shares.size() % 2 != 0 ? shares[half] : (shares[half - 1] + shares[half]) / 2;
}

// How long batches of several sizes take. They run by turns, and count as shares of their turn: the
// machine's slow moments, which last longer than a turn, fall on every size alike. Other ways made
// small sizes, of which more runs fit in a fast moment, look better than they are.
class SizeTimer {
 public:
  SizeTimer(Probe& probe, const Clock& clock) : probe_(probe), clock_(clock) {}

  // The sizes up to `max_rows` of which two runs each fit in the time; more rounds if there is
  // time.
  void run(std::uint32_t max_rows, TimeNs stop) {
    first_round(max_rows, stop);
    const TimeNs enough = std::min(stop, clock_.now() + kMeasureTime);
    for (int round = 1; round < kMostRounds; ++round) {
      const TimeNs now = clock_.now();
      if (fastest_ > stop - now || (round >= kWantedRounds && now >= enough)) return;
      for (Size& size : sizes_) size.took = time_rows(size.rows);
      count_round();
    }
  }

  // visit(rows, time) for each size.
  template <class Visit>
  void each(Visit&& visit) {
    for (Size& size : sizes_) {
      const auto took = std::llround(typical(size.shares) * static_cast<double>(fastest_));
      visit(size.rows, std::max<DurationNs>(1, took));
    }
  }

 private:
  struct Size {
    std::uint32_t rows;
    DurationNs took;  // in this turn
    std::vector<double> shares;
  };

  void first_round(std::uint32_t max_rows, TimeNs stop) {
    DurationNs all = 0;
    for (std::uint32_t rows = 1; rows <= max_rows; rows = next_size(rows)) {
      const DurationNs expected =
          sizes_.empty() ? 0 : sizes_.back().took * rows / sizes_.back().rows;
      if (rows > 2 && clock_.now() + expected + (all + expected) > stop) break;
      sizes_.push_back({rows, time_rows(rows), {}});
      all += sizes_.back().took;
    }
    count_round();
  }

  DurationNs time_rows(std::uint32_t rows) {
    std::vector<ProbeRow> made_up(rows);
    for (std::uint32_t row = 0; row < rows; ++row) made_up[row].seed = row + 1;
    return std::max<DurationNs>(1, time_once(probe_, made_up, false, clock_));
  }

  void count_round() {
    DurationNs all = 0;
    for (const Size& size : sizes_) all += size.took;
    for (Size& size : sizes_) {
      size.shares.push_back(static_cast<double>(size.took) / static_cast<double>(all));
    }
    fastest_ = std::min(fastest_, all);
  }

  Probe& probe_;
  const Clock& clock_;
  std::vector<Size> sizes_;
  DurationNs fastest_ = kNever;  // turn
};

std::string microseconds(DurationNs time) { return text(time / kMicrosecond, " us"); }

// Whether the session kept for runs that are alone is worth its memory.
void choose_session(Probe& probe, TimeNs stop, Backend& backend, const Clock& clock,
                    Findings& findings) {
  DurationNs beside = time_once(probe, {{}}, false, clock);
  DurationNs alone = time_once(probe, {{}}, true, clock);
  const auto rounds =
      std::clamp<DurationNs>(6 * kMillisecond / std::max<DurationNs>(1, beside), 1, kMostRounds);
  for (int block = 0; block < 2; ++block) {  // each warms its own threads up
    if (clock.now() + rounds * (beside + alone) > stop) break;
    for (int i = 0; i < rounds; ++i)
      beside = std::min(beside, time_once(probe, {{}}, false, clock));
    for (int i = 0; i < rounds; ++i) alone = std::min(alone, time_once(probe, {{}}, true, clock));
  }
  // Below a tenth it is not; a few microseconds are noise, and its threads would spin for nothing.
  const bool keep = alone < beside - std::max(beside / 10, kLeastGain);
  backend.keep_alone_session(keep);
  findings.notes.push_back(text("one row: ", microseconds(beside), " on one thread, ",
                                microseconds(alone), " on all; lone runs use ",
                                keep ? "all threads" : "one thread"));
}

void measure(Probe& probe, std::uint32_t max_rows, TimeNs stop, const Clock& clock,
             Findings& findings) {
  SizeTimer timer(probe, clock);
  timer.run(max_rows, stop);
  std::string line = "measured per batch:";
  timer.each([&](std::uint32_t rows, DurationNs took) {
    findings.latency.record(rows, took);
    line += text(rows == 1 ? " " : ", ", rows, " rows ", microseconds(took));
  });
  findings.notes.push_back(line);
}

void look(Backend& backend, const EngineOptions& options, DurationNs load_time, const Clock& clock,
          Findings& findings) {
  Signature& signature = findings.signature;
  const TimeNs stop = clock.now() + std::max(kLeastTime, load_time);
  Probe probe(backend, signature);
  try {
    // First, while there is time: what is measured once only is measured with threads and caches
    // that are not warm yet.
    choose_session(probe, stop, backend, clock, findings);
    if (signature.batched) {
      const RowCheck check = check_rows(probe, signature, clock);
      findings.shapes_proven = check.trouble.empty();
      if (!check.trouble.empty()) {
        refuse_batching(signature, check.trouble);
      } else {
        signature.reason += "; checked: rows of a batch equal their runs alone";
      }
      if (!check.note.empty()) findings.notes.push_back(check.note);
    }
    if (!signature.batched) {
      findings.shapes_proven = shape_trouble(signature, probe.run({{}}, false), 1).empty();
    }
    const std::uint32_t limit =
        options.max_batch_rows == 0 ? kAutoBatchRows : options.max_batch_rows;
    measure(probe, signature.batched ? limit : 1, stop, clock, findings);
  } catch (const Error& error) {
    // The made-up rows may simply not suit the model: that proves nothing either way.
    findings.notes.push_back("warm-up could not run the model on made-up rows: " + error.message());
    if (signature.batched) signature.reason += "; unproven, the probe failed";
  }
}

}  // namespace

Findings warm_up(Backend& backend, const EngineOptions& options, DurationNs load_time,
                 const Clock& clock) {
  Findings findings;
  findings.signature = backend.signature();
  if (options.batch_axis == BatchAxis::none) {
    refuse_batching(findings.signature, "batch_axis=None");
  }
  if (options.warmup) {
    on_prepared_thread("inferkit-warm",
                       [&] { look(backend, options, load_time, clock, findings); });
  }
  if (options.batch_axis == BatchAxis::first && !findings.signature.batched) {
    fail(ErrorCode::model_load,
         "batch_axis=0: the model cannot be batched: ", findings.signature.reason);
  }
  return findings;
}

}  // namespace inferkit
