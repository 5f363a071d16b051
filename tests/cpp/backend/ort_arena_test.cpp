#include "backend/ort_arena.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <vector>

#include "backend/ort_backend.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"

#if defined(__linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define INFERKIT_CAN_MEASURE_MEMORY 1
#include <malloc.h>
#include <unistd.h>
#endif

namespace inferkit {
namespace {

constexpr std::uint64_t kSmall = 1 << 10;
constexpr std::uint64_t kHuge = 1 << 24;

int shrinks(ort::ArenaWatch& watch, std::uint64_t bytes, int runs) {
  int count = 0;
  for (int i = 0; i < runs; ++i) count += watch.shrink_after(bytes) ? 1 : 0;
  return count;
}

TEST_CASE("an odd run shrinks, a steady size soon does not") {
  ort::ArenaWatch watch;
  CHECK(shrinks(watch, kSmall, 100) == 0);
  CHECK(watch.shrink_after(kHuge));
  CHECK(shrinks(watch, kSmall, 100) == 0);  // nothing was kept
  const int before_it_is_usual = shrinks(watch, kHuge, 100);
  CHECK(before_it_is_usual >= 1);
  CHECK(before_it_is_usual <= 3);
  CHECK(shrinks(watch, kHuge, 1000) == 0);
}

TEST_CASE("what a busy time kept is given back once it is over") {
  ort::ArenaWatch watch;
  (void)shrinks(watch, kHuge, 100);
  CHECK(shrinks(watch, kHuge / 2, 100) == 0);
  CHECK(shrinks(watch, kSmall, 1000) == 1);
}

TEST_CASE("small models never pay") {
  ort::ArenaWatch watch;
  for (int round = 0; round < 100; ++round) {
    CHECK(shrinks(watch, 128, 10) == 0);
    CHECK(shrinks(watch, 128 * 64, 1) == 0);
  }
}

#if defined(INFERKIT_CAN_MEASURE_MEMORY)
constexpr double kMiB = 1 << 20;

double resident_mib() {
  malloc_trim(0);
  long pages = 0;
  long resident = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  REQUIRE(file != nullptr);
  const int read = std::fscanf(file, "%ld %ld", &pages, &resident);
  std::fclose(file);
  REQUIRE(read == 2);
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / kMiB;
}

// y = max(concat of 16 copies of |x|), so that a run needs 17 times its input.
std::string hungry_model() {
  onnx::Graph graph;
  graph.input("x", onnx::kFloat, {"n", 1024}).output("y", onnx::kFloat, {"n", 1});
  graph.node("Abs", {"x"}, {"a"});
  graph.node("Concat", std::vector<std::string>(16, "a"), {"wide"}, {{"axis", 1}});
  graph.node("Softmax", {"wide"}, {"soft"}, {{"axis", 1}});
  const std::vector<float> one_column(16 * 1024, 1.0F);
  graph.weights("ones", {16 * 1024, 1}, one_column);
  graph.node("MatMul", {"soft", "ones"}, {"y"});
  return graph.model();
}

TEST_CASE("memory comes back after one huge run, and after a huge time") {
  if (library_for_tests() == nullptr) return;
  const std::string bytes = hungry_model();
  OrtOptions options;
  options.threads = 1;
  const auto backend = make_ort_backend(*library_for_tests(), as_model(bytes), options);
  const auto run = [&](std::int64_t rows, int times) {
    std::vector<float> x(static_cast<std::size_t>(rows) * 1024, 1.0F);
    std::vector<float> y(static_cast<std::size_t>(rows));
    const std::array<std::int64_t, 2> in = {rows, 1024};
    const std::array<std::int64_t, 2> out = {rows, 1};
    const TensorView input{DType::float32, Shape(in), reinterpret_cast<std::byte*>(x.data())};
    for (int i = 0; i < times; ++i) {
      OutputSlot slot{{DType::float32, Shape(out), reinterpret_cast<std::byte*>(y.data())}, {}};
      backend->run({&input, 1}, {&slot, 1}, {});
    }
  };
  run(1, 20);
  const double base = resident_mib();
  run(1024, 1);  // 64 MiB for one intermediate result
  CHECK(resident_mib() - base < 40);
  run(1024, 5);
  CHECK(resident_mib() - base > 60);  // the control: a usual size is kept
  run(1, 40);
  CHECK(resident_mib() - base < 40);
}
#endif

}  // namespace
}  // namespace inferkit
