#include "bindings/gil.h"

#include <atomic>
#include <cstdint>

#include "base/parker.h"

namespace inferkit {
namespace {

void sleep_for_ever() noexcept {
  static const std::atomic<std::uint32_t> never{0};
  for (;;) parker::wait(never, 0, kNever);
}

// Armed while a thread asks for the GIL: if CPython unwinds its stack instead, it stops here.
class SleepIfUnwound {
 public:
  SleepIfUnwound() = default;
  SleepIfUnwound(const SleepIfUnwound&) = delete;
  SleepIfUnwound& operator=(const SleepIfUnwound&) = delete;
  ~SleepIfUnwound() {
    if (armed_) sleep_for_ever();
  }
  void disarm() noexcept { armed_ = false; }

 private:
  bool armed_ = true;
};

}  // namespace

ReleaseGil::ReleaseGil() noexcept : state_(PyEval_SaveThread()) {}

ReleaseGil::~ReleaseGil() noexcept(false) {
  SleepIfUnwound guard;
  PyEval_RestoreThread(state_);
  guard.disarm();
}

AcquireGil::AcquireGil() {
  SleepIfUnwound guard;
  state_ = PyGILState_Ensure();
  guard.disarm();
}

AcquireGil::~AcquireGil() { PyGILState_Release(state_); }

void expect_unwinding() noexcept { unwinding_expected.store(true, std::memory_order_relaxed); }

void sleep_if_unwound() noexcept {
  // A thread that runs Python's code and ours has the GIL, unless it was refused it.
  if (PyGILState_Check() == 1) return;
  sleep_for_ever();
}

bool python_is_alive() noexcept {
#if PY_VERSION_HEX >= 0x030d0000
  const bool finalizing = Py_IsFinalizing() != 0;
#else
  const bool finalizing = _Py_IsFinalizing() != 0;
#endif
  return Py_IsInitialized() != 0 && !finalizing;
}

}  // namespace inferkit
