#include "base/thread_setup.h"

#include <exception>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>

#include <csignal>
#endif

#include "base/start_thread.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace inferkit {
namespace {

// The floating-point control word, and the bits of it that flush denormals.
#if defined(__x86_64__)

constexpr std::uint64_t kFlush = 0x8000 | 0x0040;  // FTZ: results; DAZ: operands
std::uint64_t read_mode() noexcept { return _mm_getcsr(); }
void write_mode(std::uint64_t mode) noexcept { _mm_setcsr(static_cast<unsigned>(mode)); }

#elif defined(__aarch64__)

constexpr std::uint64_t kFlush = std::uint64_t{1} << 24;  // FZ; FZ16 stays: half floats need it
std::uint64_t read_mode() noexcept {
  std::uint64_t mode = 0;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void write_mode(std::uint64_t mode) noexcept { asm volatile("msr fpcr, %0" : : "r"(mode)); }

#else

constexpr std::uint64_t kFlush = 0;
std::uint64_t read_mode() noexcept { return 0; }
void write_mode(std::uint64_t) noexcept {}

#endif

void mask_signals() noexcept {
#if defined(__unix__) || defined(__APPLE__)
  sigset_t masked;
  sigfillset(&masked);
  // These are raised by the thread's own instructions: masked, they would kill without a trace.
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    sigdelset(&masked, signal);
  }
  pthread_sigmask(SIG_SETMASK, &masked, nullptr);
#endif
}

void take_name([[maybe_unused]] const char* name) noexcept {
#if defined(__linux__)
  char cut[16] = {};  // the kernel refuses longer names instead of cutting them
  for (std::size_t i = 0; i + 1 < sizeof(cut) && name[i] != '\0'; ++i) cut[i] = name[i];
  pthread_setname_np(pthread_self(), cut);
#elif defined(__APPLE__)
  pthread_setname_np(name);
#endif
}

}  // namespace

void prepare_own_thread(const char* name) noexcept {
  mask_signals();
  write_mode(read_mode() | kFlush);
  take_name(name);
}

void on_prepared_thread(const char* name, const std::function<void()>& work) {
  std::exception_ptr thrown;
  const auto run = [&] {
    prepare_own_thread(name);
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  };
  start_thread(run).join();
  if (thrown) std::rethrow_exception(thrown);
}

FlushDenormals::FlushDenormals() noexcept : found_(read_mode()) { write_mode(found_ | kFlush); }

FlushDenormals::~FlushDenormals() {
#if defined(__x86_64__)
  // The word also holds sticky exception flags: those raised meanwhile are kept, as the host
  // would see them had it computed the same by itself.
  constexpr std::uint64_t kRaised = 0x3f;
  write_mode((found_ & ~kRaised) | ((read_mode() | found_) & kRaised));
#else
  write_mode(found_);
#endif
}

bool flushes_denormals() noexcept { return kFlush != 0 && (read_mode() & kFlush) == kFlush; }

}  // namespace inferkit
