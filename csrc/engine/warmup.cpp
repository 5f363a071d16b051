#include "engine/warmup.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/thread_setup.h"
#include "engine/probe.h"

namespace inferkit {
namespace {

constexpr DurationNs kLeastTime = 250 * kMillisecond;
constexpr std::size_t kCheckRows = 4;
constexpr DurationNs kLeastGain = 10 * kMicrosecond;
constexpr DurationNs kMeasureTime = 60 * kMillisecond;
constexpr int kLeastRounds = 3;
constexpr int kWantedRounds = 8;
constexpr int kMostRounds = 51;

// Empty when every output has the declared shape for so many rows.
std::string shape_trouble(const Signature& signature, const std::vector<OutputSlot>& outputs,
                          std::size_t rows) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = signature.outputs[i];
    const Shape& shape = outputs[i].view.shape;
    bool fits = shape.rank() == spec.shape.rank();
    for (std::size_t axis = 0; fits && axis < shape.rank(); ++axis) {
      if (spec.shape[axis] >= 0) fits = shape[axis] == spec.shape[axis];
      if (axis == 0 && signature.batched) fits = shape[0] == static_cast<std::int64_t>(rows);
    }
    if (!fits) {
      return text("output '", spec.name, "' had shape ", to_string(shape), " for ", rows, " rows");
    }
  }
  return {};
}

// Whether a row takes as much room in both: else row r of the batch is not where it should be.
bool same_rows(const Shape& batch, const Shape& solo) noexcept {
  const auto inner = batch.dims().subspan(1);
  return std::equal(inner.begin(), inner.end(), solo.dims().begin() + 1, solo.dims().end());
}

// Empty when each row of a batch equals its run alone and a repeated run equals itself.
std::string coupling(Probe& probe, const Signature& signature, bool& shapes_proven) {
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t seed = 1; seed <= kCheckRows; ++seed) seeds.push_back(seed);
  const std::vector<OutputSlot> batch = probe.run(seeds, false);
  std::string trouble = shape_trouble(signature, batch, kCheckRows);
  if (!trouble.empty()) return trouble;
  for (std::size_t row = 0; row < kCheckRows; ++row) {
    const std::vector<OutputSlot> solo = probe.run({seeds[row]}, false);
    trouble = shape_trouble(signature, solo, 1);
    if (!trouble.empty()) return trouble;
    for (std::size_t i = 0; i < solo.size(); ++i) {
      if (!same_rows(batch[i].view.shape, solo[i].view.shape)) {
        return text("the shape of a row depends on the rows: output '", signature.outputs[i].name,
                    "' had shape ", to_string(batch[i].view.shape), " for ", kCheckRows,
                    " rows and ", to_string(solo[i].view.shape), " for one of them");
      }
      const double difference = row_difference(batch[i].view, row, solo[i].view);
      if (difference > row_tolerance(solo[i].view.dtype)) {
        return text("a row's answer depends on the rows beside it: output '",
                    signature.outputs[i].name, "' of one row moved by ", difference,
                    " of its largest value in a batch of ", kCheckRows);
      }
    }
  }
  shapes_proven = true;
  return {};
}

DurationNs time_once(Probe& probe, const std::vector<std::uint64_t>& seeds, bool alone,
                     const Clock& clock) {
  const TimeNs start = clock.now();
  static_cast<void>(probe.run(seeds, alone));
  return clock.now() - start;
}

std::vector<std::uint64_t> seeds_for(std::uint32_t rows) {
  std::vector<std::uint64_t> seeds(rows);
  for (std::uint32_t row = 0; row < rows; ++row) seeds[row] = row + 1;
  return seeds;
}

struct Timed {
  std::uint32_t rows;
  DurationNs took;
};

// 1, 2, 4, 8, 12, 16, 24, ...: as LatencyTable tells sizes apart, less the two that matter least.
std::uint32_t next_size(std::uint32_t rows) noexcept {
  if (rows < 8) return rows * 2;
  return std::has_single_bit(rows) ? rows / 2 * 3 : rows / 3 * 4;
}

// The sizes up to `max_rows` of which a few runs each fit in the time. The first run of a size
// grows arenas; the better of two says how long it may take.
std::vector<Timed> sizes_in_time(Probe& probe, std::uint32_t max_rows, TimeNs stop,
                                 const Clock& clock) {
  std::vector<Timed> sizes;
  DurationNs round = 0;
  for (std::uint32_t rows = 1; rows <= max_rows; rows = next_size(rows)) {
    const DurationNs expected = sizes.empty() ? 0 : sizes.back().took * rows / sizes.back().rows;
    if (rows > 2 && clock.now() + 2 * expected + kLeastRounds * (round + expected) > stop) break;
    const DurationNs first = time_once(probe, seeds_for(rows), false, clock);
    sizes.push_back({rows, std::min(first, time_once(probe, seeds_for(rows), false, clock))});
    round += sizes.back().took;
  }
  return sizes;
}

// By turns, and as shares of each turn: the machine's slow moments, which last longer than a turn,
// fall on every size alike. Other ways made small sizes, of which more runs fit in a fast moment,
// look better than they are.
std::vector<Timed> time_sizes(Probe& probe, std::uint32_t max_rows, TimeNs stop,
                              const Clock& clock) {
  std::vector<Timed> sizes = sizes_in_time(probe, max_rows, stop, clock);
  std::vector<std::vector<double>> shares(sizes.size());
  DurationNs fastest = kNever;
  const TimeNs enough = std::min(stop, clock.now() + kMeasureTime);
  for (int round = 0; round < kMostRounds; ++round) {
    const TimeNs now = clock.now();
    const bool few = round < kLeastRounds || (round < kWantedRounds && fastest <= stop - now);
    if (!few && now >= enough) break;
    DurationNs all = 0;
    for (Timed& size : sizes) {
      size.took = std::max<DurationNs>(1, time_once(probe, seeds_for(size.rows), false, clock));
      all += size.took;
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      shares[i].push_back(static_cast<double>(sizes[i].took) / static_cast<double>(all));
    }
    fastest = std::min(fastest, all);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    // The lower quartile: a run that lost its core is no sign of the model.
    const auto typical = shares[i].begin() + static_cast<std::ptrdiff_t>(shares[i].size() / 4);
    std::nth_element(shares[i].begin(), typical, shares[i].end());
    sizes[i].took = std::max<DurationNs>(1, std::llround(*typical * static_cast<double>(fastest)));
  }
  return sizes;
}

std::string microseconds(DurationNs time) { return text(time / kMicrosecond, " us"); }

// Whether the session kept for runs that are alone is worth its memory.
void choose_session(Probe& probe, Backend& backend, const Clock& clock, Findings& findings) {
  DurationNs beside = time_once(probe, {1}, false, clock);
  DurationNs alone = time_once(probe, {1}, true, clock);
  const auto rounds = std::clamp<DurationNs>(6 * kMillisecond / std::max<DurationNs>(1, beside),
                                             kLeastRounds, kMostRounds);
  for (int block = 0; block < 2; ++block) {  // each warms its own threads up
    for (int i = 0; i < rounds; ++i) beside = std::min(beside, time_once(probe, {1}, false, clock));
    for (int i = 0; i < rounds; ++i) alone = std::min(alone, time_once(probe, {1}, true, clock));
  }
  // Below a tenth it is not; a few microseconds are noise, and its threads would spin for nothing.
  const bool keep = alone < beside - std::max(beside / 10, kLeastGain);
  backend.keep_alone_session(keep);
  findings.notes.push_back(text("one row: ", microseconds(beside), " on one thread, ",
                                microseconds(alone), " on all; lone runs use ",
                                keep ? "all threads" : "one thread"));
}

void measure(Probe& probe, std::uint32_t max_rows, TimeNs stop, Backend& backend,
             const Clock& clock, Findings& findings) {
  choose_session(probe, backend, clock, findings);
  std::string line = "measured per batch:";
  for (const Timed& size : time_sizes(probe, max_rows, stop, clock)) {
    findings.latency.record(size.rows, size.took);
    line += text(size.rows == 1 ? " " : ", ", size.rows, " rows ", microseconds(size.took));
  }
  findings.notes.push_back(line);
}

void look(Backend& backend, const EngineOptions& options, DurationNs load_time, const Clock& clock,
          Findings& findings) {
  Signature& signature = findings.signature;
  const TimeNs stop = clock.now() + std::max(kLeastTime, load_time);
  Probe probe(backend, signature);
  try {
    if (signature.batched) {
      const std::string trouble = coupling(probe, signature, findings.shapes_proven);
      if (!trouble.empty()) {
        refuse_batching(signature, trouble);
      } else {
        signature.reason += "; checked: rows of a batch equal their runs alone";
      }
    }
    if (!signature.batched) {
      findings.shapes_proven = shape_trouble(signature, probe.run({1}, false), 1).empty();
    }
    const std::uint32_t limit =
        options.max_batch_rows == 0 ? kAutoBatchRows : options.max_batch_rows;
    measure(probe, signature.batched ? limit : 1, stop, backend, clock, findings);
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
