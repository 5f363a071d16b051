"""The C++ heap: nobody asks it for anything once a session is warm, and it may refuse anything.

What is refused on the thread of a call is an error of that call. Requests that wait, batches and
runs are in ``tests/cpp/engine/engine_no_memory_test.cpp``; Python's own memory is in
``test_arguments.py``.
"""

import os
import sys
from pathlib import Path

import inferkit
import pytest
from preload import preload
from programs import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="replaces C++'s operator new")

# refuse(n, all): on this thread, the n + 1st allocation of the core from now on, or all from that
# one on. relent(): not any more; whether one was refused. ONNX Runtime's are left alone: it ends
# the process at some of them. count(), counted(): the core's allocations on all threads.
HEAP = r"""
#include <dlfcn.h>
#include <execinfo.h>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::atomic<bool> counting{false};
std::atomic<long> count_of_core{0};
thread_local long left = -1;
thread_local bool all = false;
thread_local bool refused = false;

bool asked_by_core() {
  void* frames[8];
  const int count = backtrace(frames, 8);
  for (int i = 0; i < count; ++i) {
    Dl_info place;
    if (dladdr(frames[i], &place) == 0) return false;
    const char* name = place.dli_fname;
    if (std::strstr(name, "preloaded.so") || std::strstr(name, "libstdc++")) continue;
    return std::strstr(name, "/_core.") != nullptr;
  }
  return false;
}

bool refuses() {
  if ((left < 0 && !counting) || !asked_by_core()) return false;
  ++count_of_core;
  if (left < 0) return false;
  if (left > 0) {
    --left;
    return false;
  }
  refused = true;
  if (!all) left = -1;
  return true;
}

}  // namespace

extern "C" void refuse(long after, bool all_others) {
  left = after;
  all = all_others;
  refused = false;
}

extern "C" void count() { counting = true; }
extern "C" long counted() { return count_of_core; }

extern "C" bool relent() {
  left = -1;
  return refused;
}

void* operator new(std::size_t bytes) {
  void* data = refuses() ? nullptr : std::malloc(bytes);
  if (data == nullptr && bytes != 0) throw std::bad_alloc();
  return data;
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  void* data = nullptr;
  if (refuses() || posix_memalign(&data, static_cast<std::size_t>(alignment), bytes) != 0) {
    throw std::bad_alloc();
  }
  return data;
}

void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
"""

CALLS = {
    "run": "session.run(x)",
    "convert": 'session.run({"x": x.tolist()}, outputs=["y"])',
    "split": "session.run(np.ones((2000, 32), np.float32))",
    "refuse": "session.run(x[:, 1:])",
    "submit": "session.submit(x).result()",
    "cancel": "cancel()",
    "run_async": "loop.run_until_complete(several())",
    "new loop": "asyncio.run(several())",
    "stats": "session.stats()",
    "explain": "session.explain()",
    "runtime_info": "inferkit._core.runtime_info(library)",
    "open": "others.append(inferkit.Session(model))",
}


@pytest.mark.parametrize("call", CALLS)
def test_an_allocation_that_is_refused_is_an_error_of_that_call(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload(HEAP, tmp_path, monkeypatch, "c++")
    program = f"""
        import asyncio, ctypes, itertools
        import inferkit, numpy as np, onnx_models
        from inferkit._runtime import find_runtime
        preloaded, library = ctypes.CDLL(None), str(find_runtime())
        preloaded.refuse.argtypes = [ctypes.c_long, ctypes.c_bool]
        preloaded.relent.restype = ctypes.c_bool
        model, x = onnx_models.mlp_a(), np.ones((3, 32), np.float32)
        refused, others = 0, []
        async def several():
            return await asyncio.gather(*(session.run_async(x) for _ in range(3)))
        def cancel():
            future = session.submit(x)
            future.add_done_callback(lambda ended: None)
            future.cancel()
        with inferkit.Session(model) as another:
            expected = another.run(x)["y"].tobytes()
        with inferkit.Session(model) as session, asyncio.Runner() as runner:
            loop = runner.get_loop()
            for every_other in (False, True):
                for count in itertools.count():
                    preloaded.refuse(count, every_other)
                    try:
                        {CALLS[call]}
                    except (MemoryError, inferkit.InferkitError) as error:
                        error.__traceback__ = None
                    finally:
                        hit = preloaded.relent()
                        while others:
                            others.pop().close()
                    assert session.run(x)["y"].tobytes() == expected
                    if not hit:
                        break
                    refused += 1
            stats = session.stats()
            ended = stats.answered + stats.failed + stats.cancelled + stats.expired + stats.closed
            assert stats.accepted == ended + stats.in_flight
        print(refused > 0)
    """
    assert run_program(program) == (0, "True\n", "")


WARM = {
    "run": "session.run(x)",
    "run of several rows": "session.run(several_rows)",
    "submit": "session.submit(x).result()",
    "run_async": "loop.run_until_complete(several())",
}
REQUESTS = 1_000_000 if os.environ.get("INFERKIT_FULL_STRESS") == "1" else 3_000


@pytest.mark.parametrize("call", WARM)
@pytest.mark.parametrize("model", ["mlp_a", "mlp_b"])
@pytest.mark.timeout(3600)
def test_a_warm_session_asks_the_heap_for_nothing(
    model: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlp_a runs on the threads of the callers, mlp_b on the session's too, as mlp_a may once.

    One instance: another one might make its first run, and room for what it needs, at any time.
    """
    if b"engine.closing" in Path(inferkit._core.__file__).read_bytes():
        pytest.skip("failpoints are compiled in, and made where they are first met")
    preload(HEAP, tmp_path, monkeypatch, "c++")
    program = f"""
        import asyncio, ctypes
        import inferkit, numpy as np, onnx_models
        preloaded = ctypes.CDLL(None)
        preloaded.counted.restype = ctypes.c_long
        async def several():
            await asyncio.gather(*(session.run_async(x) for _ in range(10)))
        with (
            inferkit.Session(onnx_models.{model}(), instances=1) as session,
            asyncio.Runner(debug=False) as runner,
        ):
            loop = runner.get_loop()
            width = session.inputs[0].shape[1]
            x, several_rows = np.ones((1, width), np.float32), np.ones((20, width), np.float32)
            for _ in range(300):
                {WARM[call]}
                session.submit(x).result()  # a runner, whose first run this is
            preloaded.count()
            for _ in range({REQUESTS}):
                {WARM[call]}
            print(preloaded.counted())
    """
    assert run_program(program, timeout=3600) == (0, "0\n", "")
