// ONNX Runtime's own threads: they inherit what the thread that builds a session has.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "backend/ort_backend.h"
#include "base/clock.h"
#include "base/thread_setup.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"

#if defined(__linux__)
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#endif

namespace inferkit {
namespace {

std::unique_ptr<Backend> doubling_backend(std::uint32_t threads) {
  OrtOptions options;
  options.threads = threads;
  const std::string bytes = onnx::Graph()
                                .input("x", onnx::kFloat, {"n"})
                                .output("y", onnx::kFloat, {"n"})
                                .node("Add", {"x", "x"}, {"y"})
                                .model();
  return make_ort_backend(*library_for_tests(), as_model(bytes), options);
}

#if defined(__x86_64__) || defined(__aarch64__)
// How many of a million denormal sums were not flushed to zero.
std::int64_t not_flushed(Backend& backend) {
  constexpr std::int64_t kCount = 1 << 20;
  std::vector<float> x(kCount, 1e-41F);
  std::vector<float> y(kCount, -1.0F);
  const std::array<std::int64_t, 1> dims = {kCount};
  const TensorView input{DType::float32, Shape(dims), reinterpret_cast<std::byte*>(x.data())};
  OutputSlot slot{{DType::float32, Shape(dims), reinterpret_cast<std::byte*>(y.data())}, {}};
  backend.run({&input, 1}, {&slot, 1}, {0, true});
  return kCount - std::count_if(y.begin(), y.end(), [](const float& value) {
           std::uint32_t bits = 1;
           std::memcpy(&bits, &value, sizeof(bits));  // not a comparison, which could flush too
           return bits == 0;
         });
}

TEST_CASE("threads of ONNX Runtime's pool flush denormals, lent ones under the guard") {
  if (library_for_tests() == nullptr) return;
  const auto backend = doubling_backend(4);
  // The share of this thread, which does not flush; the pool may leave it none on a busy machine.
  int without_share = 0;
  while (not_flushed(*backend) == 0) REQUIRE(++without_share < 1'000);
  const FlushDenormals guard;
  std::int64_t kept = 0;
  for (int i = 0; i < 20; ++i) kept += not_flushed(*backend);  // a busy pool may miss a run
  CHECK(kept == 0);
}
#endif

#if defined(__linux__)
struct PoolThread {
  std::string name;
  std::uint64_t masked = 0;
};

bool masks(const PoolThread& thread, int signal) {
  return (thread.masked >> (signal - 1) & 1) == 1;
}

std::vector<PoolThread> pool_threads() {
  std::vector<PoolThread> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    PoolThread thread;
    std::ifstream(task.path() / "comm") >> thread.name;
    std::ifstream status(task.path() / "status");
    for (std::string word; status >> word;) {
      if (word == "SigBlk:") status >> std::hex >> thread.masked;
    }
    if (thread.name == "inferkit-load") found.push_back(thread);
  }
  return found;
}

// Whether there come to be `count` threads, none of which masks SIGSEGV. Given time: a joined
// thread stays listed for a moment, and a new one begins with every signal masked.
bool comes_to(std::size_t count) {
  const TimeNs until = steady_clock().now() + 10 * kSecond;
  for (;;) {
    const std::vector<PoolThread> threads = pool_threads();
    const bool deaf_to_faults =
        std::any_of(threads.begin(), threads.end(),
                    [](const PoolThread& thread) { return masks(thread, SIGSEGV); });
    if (threads.size() == count && !deaf_to_faults) return true;
    if (steady_clock().now() > until) return false;
    std::this_thread::yield();
  }
}

TEST_CASE("the pool of the solo session has the threads asked for, deaf, and goes with it") {
  if (library_for_tests() == nullptr) return;
  REQUIRE(comes_to(0));
  const auto backend = doubling_backend(3);
  CHECK(comes_to(2));  // the caller is the third
  for (const PoolThread& thread : pool_threads()) {
    for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGPROF}) CHECK(masks(thread, signal));
  }
  backend->keep_alone_session(false);
  CHECK(comes_to(0));
}
#endif

}  // namespace
}  // namespace inferkit
