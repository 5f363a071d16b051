"""Ways in which a process can end while a model runs that would never end by itself.

A thread that is no daemon and waits for such a run is not among them: Python joins it first.
"""

import os
import signal
import threading
from pathlib import Path

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import one_at_a_time, until
from programs import run_program, time_the_end

FULL = os.environ.get("INFERKIT_FULL_STRESS") == "1"
ENDLESS = np.array([[1e15]], np.float32)  # rounds of some microseconds

# Most keep the one instance busy for ever, so that nobody's own thread runs the model.
OPENING = """
import asyncio, atexit, os, signal, sys, threading, time
import numpy as np
import inferkit, onnx_models
from inferkit import _exit

_exit.RUNNING_MAY_TAKE = {grace}
session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
endless = np.array([[1e15]], np.float32)

def ask():
    try:
        session.run(endless)
    except inferkit.SessionClosedError:
        pass

async def wait_for_ever():
    await session.run_async(endless)

async def stay():
    try:
        await wait_for_ever()
    except inferkit.SessionClosedError:
        pass

async def give_up():
    task = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    raise SystemExit(6)

async def run_out_of_time():
    await asyncio.wait_for(wait_for_ever(), 0.05)

def busy():
    future = session.submit(endless)
    while not future.running():
        os.sched_yield()
    return future

def interrupt(number):
    threading.Thread(target=lambda: (time.sleep(0.1), os.kill(os.getpid(), number))).start()

"""

ENDINGS = {
    "falls off its end": ("busy()", 0),
    "a future is kept": ("kept = busy()", 0),
    "five are queued": ("busy(); futures = [session.submit(endless) for _ in range(5)]", 0),
    "sys.exit": ("busy(); sys.exit(3)", 3),
    "sys.exit with a text": ("busy(); sys.exit('so long')", 1),
    "an exception": ("busy(); raise ZeroDivisionError", 1),
    "a with block": ("with session: busy(); sys.exit(4)", 4),
    "a daemon thread waits": ("busy(); threading.Thread(target=ask, daemon=True).start()", 0),
    "a daemon thread's loop waits": (
        "busy(); threading.Thread(target=asyncio.run, args=[stay()], daemon=True).start()",
        0,
    ),
    "a task is left": ("busy(); asyncio.run(give_up())", 6),
    "a task is cancelled": ("busy(); asyncio.run(run_out_of_time())", 1),
    "os._exit": ("busy(); os._exit(5)", 5),
    "abort": ("busy(); os.abort()", -signal.SIGABRT),
    "SIGTERM": ("busy(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
    "SIGTERM handled": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "busy(); interrupt(signal.SIGTERM); ask()",
        7,
    ),
    "Ctrl-C in run": ("busy(); interrupt(signal.SIGINT); ask()", -signal.SIGINT),
    "Ctrl-C in a run on one's own thread": ("interrupt(signal.SIGINT); ask()", -signal.SIGINT),
    "SIGTERM handled in a run on one's own thread": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\ninterrupt(signal.SIGTERM); ask()",
        7,
    ),
    "Ctrl-C in result": ("interrupt(signal.SIGINT); busy().result()", -signal.SIGINT),
    "Ctrl-C on a loop": (
        "busy(); interrupt(signal.SIGINT); asyncio.run(wait_for_ever())",
        -signal.SIGINT,
    ),
    "Ctrl-C in close": ("busy(); interrupt(signal.SIGINT); session.close()", -signal.SIGINT),
    "a callback exits": ("busy().add_done_callback(lambda _: sys.exit(8))", 0),
    "an exit handler asks": ("busy(); atexit.register(session.submit, endless)", 0),
    "exec": ("busy(); os.execv('/bin/true', ['true'])", 0),
    "a child of fork": ("busy(); child = os.fork(); child or sys.exit(9); os.waitpid(child, 0)", 0),
}
SAY_SOMETHING = {"sys.exit with a text", "an exception", "a task is cancelled", "abort"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_with_its_own_code_and_in_silence(ending: str) -> None:
    code, expected = ENDINGS[ending]
    status, _, complaints = run_program(OPENING.format(grace=0.1) + code)
    assert status == expected, complaints
    quiet = ending not in SAY_SOMETHING and status != -signal.SIGINT
    assert not quiet or complaints == "" or ending == "a callback exits", complaints
    for word in ("Fatal", "terminate called", "Segmentation", "ResourceWarning"):
        assert word not in complaints or ending == "abort", complaints


@pytest.mark.skipif(not FULL, reason="figures to read: INFERKIT_FULL_STRESS=1, and pytest -s")
@pytest.mark.parametrize("ending", ENDINGS)
def test_how_long_an_end_takes(ending: str, tmp_path: Path) -> None:
    code, expected = ENDINGS[ending]
    opening = OPENING.format(grace="_exit.RUNNING_MAY_TAKE").replace(
        "    return future\n", "    ends_now()\n    return future\n", 1
    )
    opening = opening.replace("time.sleep(0.1), os", "time.sleep(0.1), ends_now(), os", 1)
    status, seconds = time_the_end(opening + code, tmp_path)
    print(f"\n{seconds:6.2f} s: {ending}")
    assert status == expected


def test_two_seconds_are_what_a_running_batch_gets_at_exit() -> None:
    code = OPENING.format(grace="_exit.RUNNING_MAY_TAKE") + (
        "busy()\nbegin = time.monotonic()\n"
        "atexit._run_exitfuncs()\nprint(2 <= time.monotonic() - begin)"
    )
    status, printed, complaints = run_program(code)
    assert (status, printed, complaints) == (0, "True\n", "")


def test_a_thread_that_is_no_daemon_is_served_after_the_main_threads_end() -> None:
    # It may be the one that serves: many a main thread starts such threads and is over.
    status, printed, complaints = run_program(
        OPENING.format(grace=0.1)
        + """
def serve():
    threading.main_thread().join()
    answers = [session.run([[1.0]])["y"][0, 0], session.submit([[2.0]]).result()["y"][0, 0]]
    print(*answers, asyncio.run(session.run_async([[3.0]]))["y"][0, 0])

threading.Thread(target=serve).start()
"""
    )
    assert (status, printed, complaints) == (0, "1.0 2.0 3.0\n", "")


# ---- close, told how long -----------------------------------------------------------------------
@pytest.mark.parametrize("drain", [True, False])
def test_a_close_with_a_timeout_stops_what_runs(drain: bool) -> None:
    session = one_at_a_time()
    running, queued = session.submit(ENDLESS), session.submit(ENDLESS)
    until(running.running)
    session.close(drain=drain, timeout=0.05)
    for future in (running, queued):
        with pytest.raises(inferkit.SessionClosedError, match="closed"):
            future.result()
    stats = session.stats()
    assert (stats.in_flight, stats.failed + stats.closed) == (0, 2)


def test_a_close_without_a_timeout_waits_for_what_runs() -> None:
    session = one_at_a_time()
    running, queued = session.submit([[20_000.0]]), session.submit(ENDLESS)
    until(running.running)
    session.close(drain=False)
    assert running.result()["y"].shape == (1, 1)
    with pytest.raises(inferkit.SessionClosedError):
        queued.result()
    check_balance(session)


def test_a_blocked_caller_is_stopped_too() -> None:
    session = one_at_a_time()
    told: list[str] = []

    def ask() -> None:
        try:
            session.run(ENDLESS)
        except inferkit.SessionClosedError as error:
            told.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: session.stats().in_flight)
    session.close(drain=False, timeout=0)
    thread.join()
    assert len(told) == 1


def test_a_with_block_left_by_an_exception_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inferkit._session.RUNNING_MAY_TAKE", 0.05)
    with pytest.raises(ZeroDivisionError), one_at_a_time() as session:
        future = session.submit(ENDLESS)
        until(future.running)
        raise ZeroDivisionError
    with pytest.raises(inferkit.SessionClosedError):
        future.result()


def test_the_second_interrupt_leaves_a_close_and_the_next_close_finishes() -> None:
    status, printed, complaints = run_program(
        OPENING.format(grace=0.1)
        + """
future = busy()
for drain in (True, False):
    try:
        interrupt(signal.SIGINT)
        session.close(drain=drain)
    except KeyboardInterrupt:
        print("interrupted")
session.close(timeout=0)
print(type(future.exception()).__name__)
"""
    )
    assert (status, complaints) == (0, "")
    assert printed == "interrupted\ninterrupted\nSessionClosedError\n"


def test_models_that_end_quickly_are_not_stopped() -> None:
    with inferkit.Session(onnx_models.mlp_a()) as session:
        futures = [session.submit(np.ones((1, 32), np.float32)) for _ in range(100)]
        session.close(timeout=60)
        assert all(future.result()["y"].shape == (1, 1) for future in futures)
        check_balance(session)
