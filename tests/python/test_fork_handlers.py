"""What runs between fork() and the child's first own step: nothing that could wait or fail."""

import sys
from pathlib import Path

import pytest
from preload import preload
from programs import run_program

# Its handler is registered first, so it is the child's first; what is called from there until
# fork() returns is counted. A program that is started so sees two functions more.
SPY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
static int watching, allocations, locks;

static void watch(void) { watching = 1; }
__attribute__((constructor)) static void begin(void) { pthread_atfork(0, 0, watch); }

pid_t fork(void) {
  static pid_t (*real)(void);
  if (!real) real = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
  pid_t child = real();
  watching = 0;
  return child;
}
void* malloc(size_t bytes) { allocations += watching; return __libc_malloc(bytes); }
void* calloc(size_t n, size_t bytes) { allocations += watching; return __libc_calloc(n, bytes); }
void* realloc(void* p, size_t bytes) { allocations += watching; return __libc_realloc(p, bytes); }
void* aligned_alloc(size_t to, size_t bytes) {  // C++ asks here where a type has an alignment
  allocations += watching;
  return __libc_memalign(to, bytes);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static int (*real)(pthread_mutex_t*);
  if (!real) real = (int (*)(pthread_mutex_t*))dlsym(RTLD_NEXT, "pthread_mutex_lock");
  locks += watching;
  return real(mutex);
}
int spied_allocations(void) { return allocations; }
int spied_locks(void) { return locks; }
static void* volatile leaked;
static void allocate_as_well(void) { leaked = malloc(1); }
void spoil(void) { pthread_atfork(0, 0, allocate_as_well); }
"""

PROGRAM = """
    import asyncio, ctypes, os, warnings
    import inferkit, numpy as np, onnx_models
    warnings.simplefilter("ignore", DeprecationWarning)
    spy = ctypes.CDLL(None)
    x = np.ones((1, 32), np.float32)
    async def ask():
        asyncio.get_running_loop().slow_callback_duration = 100
        await session.run_async(x)
    def forked():
        child = os.fork()
        if child == 0:
            os._exit(min(255, spy.spied_allocations() + 16 * spy.spied_locks()))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with inferkit.Session(onnx_models.mlp_a()) as session:
        session.run(x), session.submit(x).result(), asyncio.run(ask())
        print(forked(), end=" ")
        spy.spoil()
        print(forked())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the spy is preloaded by Linux' loader")
def test_the_childs_handlers_take_no_lock_and_allocate_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload(SPY, tmp_path, monkeypatch)
    assert run_program(PROGRAM) == (0, "0 1\n", "")
