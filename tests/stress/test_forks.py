"""A process that forks at any moment, many times: no child hangs, and the parent is not disturbed.

The short form takes every moment and every kind of child a few times; the long one, with
INFERKIT_FULL_STRESS=1, makes 2,000 rounds at each moment.
"""

import os
import sys
from pathlib import Path

import forking
import pytest
from preload import preload
from programs import run_program

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

FULL = os.environ.get("INFERKIT_FULL_STRESS") == "1"
ROUNDS = 2_000 if FULL else 2 * len(forking.CHILDREN)
HOURS = 4 * 3600.0


@pytest.mark.stress
@pytest.mark.timeout(HOURS if FULL else 120)
@pytest.mark.parametrize("moment", forking.LOADS if FULL else ["callbacks", "everything"])
def test_forks_at_any_moment(moment: str) -> None:
    program = f"import forking; forking.under_load({moment!r}, {ROUNDS})"
    status, told, complaints = run_program(program, timeout=HOURS if FULL else 100)
    print(told, complaints)
    assert (status, complaints) == (0, "")
    assert told.startswith(f"{ROUNDS} children, failed: {{}} parent: []")


# Giving memory back takes long, as where much of it was touched: the moment is met every time.
SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>

int munmap(void* data, size_t bytes) {
  static int (*real)(void*, size_t);
  if (!real) real = (int (*)(void*, size_t))dlsym(RTLD_NEXT, "munmap");
  if (bytes > (4u << 20)) usleep(20000);
  return real(data, bytes);
}
"""


@pytest.mark.stress
@pytest.mark.timeout(HOURS if FULL else 120)
def test_children_that_drop_large_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the parent's threads grow and shrink the pools that those results lie in."""
    preload(SLOW, tmp_path, monkeypatch)
    rounds = 2_000 if FULL else 36
    program = f"""
        import forking
        forking.PATIENCE = 20
        forking.under_load("sizes", {rounds}, [forking.drop_results, forking.drop_all])
    """
    status, told, complaints = run_program(program, timeout=HOURS if FULL else 100)
    print(told, complaints)
    assert (status, complaints) == (0, "")
    assert told.startswith(f"{rounds} children, failed: {{}} parent: []")


# What the C library does to the stack of an ended thread that it gives to the next one takes long.
# That gives back what the ended thread's thread-locals lay in, and then forgets where it was.
SLOW_START = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

extern void __libc_free(void*);
static __thread int starting;
static pid_t parent;

int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*work)(void*), void* of) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (!real) {
    real = (int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*))dlsym(
        RTLD_NEXT, "pthread_create");
    parent = getpid();
  }
  starting = getpid() == parent;
  const int refused = real(thread, how, work, of);
  starting = 0;
  return refused;
}

void free(void* data) {
  __libc_free(data);
  if (starting && data) usleep(4000);
}
"""


@pytest.mark.stress
@pytest.mark.timeout(HOURS if FULL else 120)
def test_forks_while_threads_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of sessions and of ONNX Runtime's pools; each child then starts some of its own."""
    preload(SLOW_START, tmp_path, monkeypatch)
    rounds = 2_000 if FULL else 36
    program = f"""
        import forking
        forking.PATIENCE = 20
        forking.under_load("pools", {rounds}, [forking.open_its_own])
    """
    status, told, complaints = run_program(program, timeout=HOURS if FULL else 100)
    print(told, complaints)
    assert (status, complaints) == (0, "")
    assert told.startswith(f"{rounds} children, failed: {{}} parent: []")


@pytest.mark.stress
@pytest.mark.timeout(HOURS if FULL else 120)
def test_forks_while_the_first_session_of_a_process_is_opened() -> None:
    rounds = 100 if FULL else 1
    program = f"import forking; forking.in_the_first_opening({rounds}, 20)"
    status, told, complaints = run_program(program, timeout=HOURS if FULL else 100)
    assert (status, told, complaints) == (0, f"{{'load_and_fork': {rounds}}}\n", "")
