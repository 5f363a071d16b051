"""The wall clock jumps by a day, back and forth, at every look: nobody notices."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import run_program

JUMPS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
  static atomic_uint looks;
  return ((long)(atomic_fetch_add(&looks, 1) % 3) - 1) * 86400;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, at);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += jump();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
  int failed = real(at, zone);
  if (!failed) at->tv_sec += jump();
  return failed;
}
time_t time(time_t *at) {
  time_t (*real)(time_t *) = dlsym(RTLD_NEXT, "time");
  time_t now = real(NULL) + jump();
  if (at) *at = now;
  return now;
}
"""

PROGRAM = """
import asyncio, concurrent.futures, time
import numpy as np
import inferkit, onnx_models
from occupied import Held, one_at_a_time, rounds

looks = [time.time() for _ in range(6)]
assert max(looks) - min(looks) > 86_000, "the clock does not jump"

def expires(wait):
    began = time.monotonic()
    try:
        wait()
    except inferkit.DeadlineExceededError:
        assert 0.1 <= time.monotonic() - began < 60
    else:
        raise AssertionError("no deadline")

async def loop(session):
    try:
        await session.run_async(rounds(0), timeout=0.1)
    except inferkit.DeadlineExceededError:
        pass

with one_at_a_time() as session:
    for n in range(50):
        assert session.run(rounds(n), timeout=60)["y"][0, 0] == n
        assert session.submit(rounds(n), timeout=60).result(60)["y"][0, 0] == n
    with Held(session):
        expires(lambda: session.run(rounds(0), timeout=0.1))
        expires(lambda: session.submit(rounds(0), timeout=0.1).result())
        asyncio.run(loop(session))
        future = session.submit(rounds(0))
        try:
            future.result(0.05)
        except concurrent.futures.TimeoutError:
            future.cancel()
    session.close(timeout=60)
    print(session.stats().expired)

with inferkit.Session(onnx_models.mlp(), max_delay=0.05, instances=1) as session:
    futures = [session.submit(np.ones((1, 32), np.float32), timeout=60) for _ in range(3)]
    assert all(future.result(60) for future in futures)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_wall_clock_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, library = tmp_path / "jumps.c", tmp_path / "jumps.so"
    source.write_text(JUMPS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    before = [os.environ["LD_PRELOAD"]] if "LD_PRELOAD" in os.environ else []
    monkeypatch.setenv("LD_PRELOAD", " ".join([*before, str(library)]))
    status, said, complaints = run_program(PROGRAM)
    assert (status, complaints) == (0, "")
    assert said == "3\n"
