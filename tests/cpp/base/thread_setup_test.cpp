#include "base/thread_setup.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "base/usable_cores.h"

#if defined(__linux__)
#include <pthread.h>
#include <signal.h>

#include <string>
#endif

namespace inferkit {
namespace {

// Halved at run time: 1e-38 / 4 is below the smallest normal float.
bool keeps_denormals() {
  volatile float small = 1e-38F;
  volatile float quarter = small * 0.25F;
  return quarter != 0.0F;
}

TEST_CASE("a guard flushes denormals and puts the mode back, nested too") {
  CHECK(keeps_denormals());
  {
    const FlushDenormals outer;
#if defined(__x86_64__) || defined(__aarch64__)
    CHECK_FALSE(keeps_denormals());
    CHECK(flushes_denormals());
#endif
    {
      const FlushDenormals inner;
    }
    CHECK(keeps_denormals() == !flushes_denormals());
  }
  CHECK(keeps_denormals());
  CHECK_FALSE(flushes_denormals());
}

TEST_CASE("a prepared thread and those it starts flush, its creator does not") {
  bool child = false;
  bool grandchild = false;
  on_prepared_thread("inferkit-test", [&] {
    child = flushes_denormals();
    std::thread([&] { grandchild = flushes_denormals(); }).join();
  });
#if defined(__x86_64__) || defined(__aarch64__)
  CHECK(child);
  CHECK(grandchild);
#endif
  CHECK_FALSE(flushes_denormals());
}

#if defined(__linux__)
TEST_CASE("a prepared thread is deaf to what the host handles, and named") {
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  sigset_t masked;
  std::string name(32, '\0');
  on_prepared_thread("inferkit-longer-than-fifteen", [&] {
    pthread_sigmask(SIG_BLOCK, nullptr, &masked);
    pthread_getname_np(pthread_self(), name.data(), name.size());
  });
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGPROF, SIGALRM, SIGUSR1}) {
    CHECK(sigismember(&masked, signal) == 1);
  }
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    CHECK(sigismember(&masked, signal) == 0);
  }
  CHECK(std::string(name.c_str()) == "inferkit-longer");
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  CHECK(sigismember(&after, SIGINT) == sigismember(&before, SIGINT));
}
#endif

TEST_CASE("what the work throws arrives") {
  CHECK_THROWS_AS(on_prepared_thread("inferkit-test", [] { throw std::runtime_error("no"); }),
                  std::runtime_error);
}

TEST_CASE("some core is usable, and no more than there are") {
  CHECK(usable_cores() >= 1);
  if (std::thread::hardware_concurrency() != 0) {
    CHECK(usable_cores() <= std::thread::hardware_concurrency());
  }
}

}  // namespace
}  // namespace inferkit
