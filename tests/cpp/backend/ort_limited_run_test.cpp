#include "backend/ort_limited_run.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "backend/ort_backend.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"
#include "support/thrown.h"

namespace inferkit {
namespace {

using testing::says;
using testing::thrown;

// y = x through so many layers of 512.
std::unique_ptr<Backend> deep_backend(std::map<std::string, std::string> config = {}) {
  OrtOptions options;
  options.threads = 1;
  options.session_config = std::move(config);
  return make_ort_backend(*library_for_tests(), as_model(onnx::mlp({512, 512, 512, 512, 1})),
                          options);
}

struct Outcome {
  std::optional<Error> error;
  RunLimits limits;
};

Outcome run_within(Backend& backend, RunLimits limits, std::int64_t rows = 2) {
  std::vector<float> x(static_cast<std::size_t>(rows) * 512, 1.0F);
  std::vector<float> y(static_cast<std::size_t>(rows));
  const std::array<std::int64_t, 2> in = {rows, 512};
  const std::array<std::int64_t, 2> out = {rows, 1};
  const TensorView input{DType::float32, Shape(in), reinterpret_cast<std::byte*>(x.data())};
  OutputSlot slot{{DType::float32, Shape(out), reinterpret_cast<std::byte*>(y.data())}, {}};
  RunContext context;
  context.limits = &limits;
  const auto error = thrown([&] { backend.run({&input, 1}, {&slot, 1}, context); });
  return {error, limits};
}

TEST_CASE("a limited run counts what it takes, and may take all there is") {
  if (library_for_tests() == nullptr) return;
  const auto backend = deep_backend();
  const Outcome first = run_within(*backend, {});
  CHECK_FALSE(first.error.has_value());
  CHECK(first.limits.bytes < SIZE_MAX);
  const Outcome larger = run_within(*backend, {}, 64);
  CHECK(SIZE_MAX - larger.limits.bytes > SIZE_MAX - first.limits.bytes);
}

TEST_CASE("a limited run fails beyond its memory, and the next run is none the worse") {
  if (library_for_tests() == nullptr) return;
  const auto backend = deep_backend();
  const std::size_t needs = SIZE_MAX - run_within(*backend, {}, 64).limits.bytes;
  CHECK_FALSE(run_within(*backend, {kNever, needs}, 64).error.has_value());
  const Outcome short_of_it = run_within(*backend, {kNever, needs - 1}, 64);
  REQUIRE(short_of_it.error.has_value());
  CHECK(short_of_it.error->code() == ErrorCode::out_of_memory);
  CHECK(says(short_of_it.error->message(), "more than it may"));
  CHECK_FALSE(run_within(*backend, {}, 64).error.has_value());
}

TEST_CASE("a limited run ends when its time is over, at the next operator") {
  if (library_for_tests() == nullptr) return;
  const auto backend = deep_backend();
  // No time at all: the timer may come first or last, so until it came first.
  std::optional<Error> error;
  for (int i = 0; i < 100'000 && !error; ++i) error = run_within(*backend, {0, SIZE_MAX}, 64).error;
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::backend);
  CHECK_FALSE(run_within(*backend, {kSecond, SIZE_MAX}).error.has_value());
}

TEST_CASE("memory of onnxruntime's own cannot be limited, and is said so") {
  if (library_for_tests() == nullptr) return;
  const auto backend = deep_backend({{"session.use_env_allocators", "0"}});
  CHECK_FALSE(run_within(*backend, {}).error.has_value());
  const Outcome limited = run_within(*backend, {kNever, 1 << 30});
  REQUIRE(limited.error.has_value());
  CHECK(says(limited.error->message(), "cannot be limited"));
}

}  // namespace
}  // namespace inferkit
