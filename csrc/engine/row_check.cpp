#include "engine/row_check.h"

#include <algorithm>

#include "base/error.h"

namespace inferkit {
namespace {

using Rows = std::vector<ProbeRow>;
using Values = ProbeRow::Values;

// What a run beside extreme values may take: so many times what the ordinary one did, and never
// less than this. A model that takes a huge value for a number of rounds, or of bytes, is stopped.
constexpr int kTimesAsMuch = 4;
constexpr DurationNs kLeastTime = 20 * kMillisecond;
constexpr DurationNs kMostTime = kSecond;
constexpr std::size_t kLeastBytes = std::size_t{64} << 20;

// Whether a row takes as much room in both: else row r of the batch is not where it should be.
bool same_rows(const Shape& batch, const Shape& solo) noexcept {
  const auto inner = batch.dims().subspan(1);
  return std::equal(inner.begin(), inner.end(), solo.dims().begin() + 1, solo.dims().end());
}

// Empty when row `row` of a batch of `rows` is what it was alone.
std::string row_trouble(const Signature& signature, const std::vector<OutputSlot>& batch,
                        std::size_t row, std::size_t rows, const std::vector<OutputSlot>& solo) {
  for (std::size_t i = 0; i < solo.size(); ++i) {
    const std::string& name = signature.outputs[i].name;
    if (!same_rows(batch[i].view.shape, solo[i].view.shape)) {
      return text("the shape of a row depends on the rows: output '", name, "' had shape ",
                  to_string(batch[i].view.shape), " for ", rows, " rows and ",
                  to_string(solo[i].view.shape), " for one of them");
    }
    const double difference = row_difference(batch[i].view, row, solo[i].view);
    if (difference > row_tolerance(solo[i].view.dtype)) {
      return text("a row's answer depends on the rows beside it: output '", name,
                  "' of one row moved by ", difference, " of its largest value in a batch of ",
                  rows);
    }
  }
  return {};
}

// One check: the rows together, then those of them alone whose values are ordinary.
class Comparison {
 public:
  Comparison(Probe& probe, const Signature& signature) : probe_(probe), signature_(signature) {}

  [[nodiscard]] std::string run(const Rows& rows, RunLimits* limits = nullptr) {
    const std::vector<OutputSlot> batch = probe_.run(rows, false, limits);
    std::string trouble = shape_trouble(signature_, batch, rows.size());
    for (std::size_t row = 0; trouble.empty() && row < rows.size(); ++row) {
      if (rows[row].values > Values::zeros) continue;
      const std::vector<OutputSlot> solo = probe_.run({rows[row]}, false);
      trouble = shape_trouble(signature_, solo, 1);
      if (trouble.empty()) trouble = row_trouble(signature_, batch, row, rows.size(), solo);
    }
    return trouble;
  }

 private:
  Probe& probe_;
  const Signature& signature_;
};

bool has_floats(const Signature& signature) noexcept {
  return std::any_of(signature.inputs.begin(), signature.inputs.end(), [](const TensorSpec& spec) {
    return spec.dtype == DType::float32 || spec.dtype == DType::float64 ||
           spec.dtype == DType::float16;
  });
}

}  // namespace

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

RowCheck check_rows(Probe& probe, const Signature& signature, const Clock& clock) {
  RowCheck check;
  Comparison comparison(probe, signature);
  RunLimits none;
  const TimeNs start = clock.now();
  check.trouble = comparison.run({{1}, {2}, {3}, {4}}, &none);
  if (!check.trouble.empty()) return check;
  const DurationNs took = clock.now() - start;
  const std::size_t bytes = SIZE_MAX - none.bytes;

  const auto try_beside = [&](const char* what, const Rows& rows) {
    if (!check.trouble.empty()) return;
    RunLimits limits{std::clamp(kTimesAsMuch * took, kLeastTime, kMostTime),
                     std::max(kTimesAsMuch * bytes, kLeastBytes)};
    try {
      check.trouble = comparison.run(rows, &limits);
      if (!check.trouble.empty()) check.trouble += text(" (", what, ")");
    } catch (const Error& error) {
      check.note += check.note.empty() ? "not checked: " : ", ";
      check.note += text(what, " (", error.message(), ")");
    }
  };
  try_beside("rows that repeat, and zeros", {{1}, {1}, {1, Values::zeros}, {1, Values::zeros}});
  if (!has_floats(signature)) return check;
  try_beside("beside huge values", {{1}, {2, Values::large}, {3, Values::large}, {4}});
  try_beside("beside infinities and NaN",
             {{1}, {2, Values::infinite}, {3, Values::not_a_number}, {4}});
  return check;
}

}  // namespace inferkit
