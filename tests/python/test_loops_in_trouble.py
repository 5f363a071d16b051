"""Event loops that close, fail, fork and stand still at the wrong moment: nobody else suffers."""

import asyncio
import sys
import threading

import inferkit
import loops
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import PATIENCE, one_at_a_time, rounds, until
from programs import run_program


def test_a_loop_that_closes_takes_nobody_elses_callers_along() -> None:
    """Another thread's loop comes while Python code runs that lets those of a closed one go."""
    in_cancel, go_on = threading.Event(), threading.Event()

    class SlowToCancel(asyncio.SelectorEventLoop):
        def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
            in_cancel.set()
            assert go_on.wait(PATIENCE)
            super()._timer_handle_cancelled(handle)  # type: ignore[misc]

    def close_one() -> None:
        loop = SlowToCancel()
        task = loop.create_task(session.run_async(rounds(0), timeout=PATIENCE))
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    async def other() -> None:
        task = asyncio.create_task(session.run_async(rounds(7)))
        while "waiting for room" not in repr(task):
            await asyncio.sleep(0)
        go_on.set()
        closing.join()
        assert (await asyncio.wait_for(task, PATIENCE))["y"][0, 0] == 7

    with one_at_a_time(max_pending=1, when_full="wait") as session:
        blocker = session.submit(rounds(300_000))
        until(blocker.running)
        closing = threading.Thread(target=close_one)
        closing.start()
        assert in_cancel.wait(PATIENCE)
        asyncio.run(other())
        blocker.result(PATIENCE)


def test_a_loop_that_cannot_be_told_once_is_told_again() -> None:
    class Refuses(loops.WithoutAddReader):
        refusals = 0

        def call_soon_threadsafe(self, callback: object, *args: object, **kwargs: object) -> object:
            if "inferkit" in repr(callback) and self.refusals > 0:
                self.refusals -= 1
                raise MemoryError
            return super().call_soon_threadsafe(callback, *args, **kwargs)  # type: ignore[arg-type]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Refuses)
        await session.run_async(rounds(2000))
        loop.refusals = 3
        answer = session.run_async(rounds(20_000))
        assert (await asyncio.wait_for(answer, PATIENCE))["y"].shape == (1, 1)
        assert loop.refusals == 0

    with one_at_a_time() as session, asyncio.Runner(loop_factory=Refuses) as runner:
        runner.run(main())
        check_balance(session)
        assert session.stats().undeliverable == 0


@pytest.mark.parametrize("leaves", ["cancelled", "expired"])
def test_when_the_first_in_line_leaves_the_next_is_looked_at(leaves: str) -> None:
    async def main() -> None:
        running = session.submit(np.full((1, 1), 1e9, np.float32))
        until(running.running)
        wide = np.zeros((1000, 1), np.float32)
        timeout = 1.0 if leaves == "expired" else None
        large = asyncio.create_task(session.run_async(wide, timeout=timeout))
        await asyncio.sleep(0)
        assert "waiting for room" in repr(large)
        small = asyncio.create_task(session.run_async(rounds(0)))
        await asyncio.sleep(0)
        assert "waiting for room" in repr(small)
        if leaves == "cancelled":
            large.cancel()
        await asyncio.wait_for(small, PATIENCE)  # beside the one that runs for hours
        assert large.done() and not running.done()

    session = inferkit.Session(
        onnx_models.slow_on_demand(),
        instances=2,
        max_batch_size=1,
        max_pending_bytes=4096,
        when_full="wait",
    )
    try:
        asyncio.run(main())
    finally:
        session.close(drain=False, timeout=0)


def test_a_comparison_that_raises_removes_no_callback() -> None:
    class Odd:
        def __call__(self, _: object) -> None:
            called.append(self)

        def __eq__(self, _: object) -> bool:
            raise ZeroDivisionError

        __hash__ = None  # type: ignore[assignment]

    called: list[object] = []

    async def main() -> None:
        coroutine = session.run_async(rounds(20_000))
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        coroutine.add_done_callback(Odd())  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            coroutine.remove_done_callback(print)  # type: ignore[attr-defined]
        await asyncio.wait_for(task, PATIENCE)
        assert len(called) == 1

    with one_at_a_time() as session:
        asyncio.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("child", ["leaves", "drops the session"])
def test_a_child_that_runs_the_inherited_loop_takes_nothing_from_its_parent(child: str) -> None:
    """asyncio.run() runs it once more when the child leaves by sys.exit()."""
    program = f"""
import asyncio, gc, os, signal, sys, time, warnings
import inferkit, numpy as np, onnx_models
warnings.simplefilter("ignore")  # of forks beside threads, and of what the child leaves open
async def main():
    session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
    x = np.full((1, 1), 3000, np.float32)
    for _ in range(5):
        await session.run_async(x)  # too long for the loop, as is known now
    for _ in range(3):
        task = asyncio.create_task(session.run_async(x))
        while not session.stats().in_flight:
            await asyncio.sleep(0)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            while os.getppid() == parent and os.stat(told).st_size == 0:
                time.sleep(0.001)  # until the parent's answer is there
            if {child == "drops the session"}:
                del session
                gc.collect()
            sys.exit(15)
        while session.stats().in_flight:
            time.sleep(0.001)
        os.write(told, b"!")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 15
        os.ftruncate(told, 0)
        assert (await asyncio.wait_for(task, 60))["y"].shape == (1, 1)
        assert (await asyncio.wait_for(session.run_async(x * 10), 60))["y"].shape == (1, 1)
    session.close()
told, parent = os.memfd_create("told"), os.getpid()
asyncio.run(main())
print("all answered")
"""
    status, printed, complaints = run_program(program)
    assert (status, printed) == (0, "all answered\n"), complaints
