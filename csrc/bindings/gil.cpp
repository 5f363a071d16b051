#include "bindings/gil.h"

#include <atomic>
#include <cstdint>

#include "base/parker.h"

namespace inferkit {
namespace {

// Armed while a thread asks for the GIL: if CPython unwinds its stack instead, it stops here.
class SleepIfUnwound {
 public:
  SleepIfUnwound() = default;
  SleepIfUnwound(const SleepIfUnwound&) = delete;
  SleepIfUnwound& operator=(const SleepIfUnwound&) = delete;
  ~SleepIfUnwound() {
    static const std::atomic<std::uint32_t> never{0};
    while (armed_) parker::wait(never, 0, kNever);
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

bool python_is_alive() noexcept {
#if PY_VERSION_HEX >= 0x030d0000
  const bool finalizing = Py_IsFinalizing() != 0;
#else
  const bool finalizing = _Py_IsFinalizing() != 0;
#endif
  return Py_IsInitialized() != 0 && !finalizing;
}

}  // namespace inferkit
