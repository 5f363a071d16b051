"""Processes with sessions that fork, exec, stop, run out or end: nothing hangs."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from native_threads import threads
from occupied import PATIENCE, one_at_a_time, rounds, until
from ort_wheels import NEWEST, OLDEST, library_of
from programs import run_program, time_the_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, reads /proc")

FULL = os.environ.get("INFERKIT_FULL_STRESS") == "1"
X = np.ones((1, 32), np.float32)


# ---- fork -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit(0)",
        "del session; gc.collect(); sys.exit(0)",
        "session.myself = session; del session; gc.collect(); sys.exit(0)",
        "session.close(); sys.exit(0)",
        "asyncio.run(session.aclose()); sys.exit(0)",
        "raise SystemExit",
        "os._exit(0)",
    ],
)
def test_a_child_ends_as_it_likes_with_what_it_inherited(ending: str) -> None:
    program = f"""
        import asyncio, gc, logging, os, signal, sys, warnings
        import inferkit, numpy as np, onnx_models
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # a slow machine is no mistake
        x = np.ones((1, 512), np.float32)
        session = inferkit.Session(onnx_models.mlp_b(), instances=2, threads=4)
        session.run(x), session.submit(x).result()
        result = session.run(x)
        pending = session.submit(x)
        children = []
        for _ in range(4):  # as a server forks its workers
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                del result, pending
                {ending}
            children.append(child)
        print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        print(session.run(x)["y"].shape, pending.result()["y"].shape)
        session.close()
    """
    assert run_program(program) == (0, "[0, 0, 0, 0]\n(1, 256) (1, 256)\n", "")


def test_forks_in_the_midst_of_runs() -> None:
    program = """
        import os, signal, threading, warnings
        import inferkit, numpy as np, onnx_models
        warnings.simplefilter("ignore", DeprecationWarning)
        x, small = np.ones((1, 512), np.float32), np.ones((1, 32), np.float32)
        session = inferkit.Session(onnx_models.mlp_b(), threads=4)
        stop = threading.Event()
        def ask(call):
            while not stop.is_set():
                call()
        calls = [lambda: session.run(x), lambda: session.submit(x).result()] * 2
        threads = [threading.Thread(target=ask, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        outcomes = set()
        for _ in range(40):
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                try:
                    session.run(x)
                except inferkit.ForkedSessionError:
                    with inferkit.Session(onnx_models.mlp_a(), warmup=False) as own:
                        own.run(small), own.submit(small).result()
                    os._exit(0)
                os._exit(1)
            outcomes.add(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads:
            thread.join()
        stats = session.stats()
        print(outcomes, stats.accepted == stats.answered > 0)
        session.close()
    """
    assert run_program(program) == (0, "{0} True\n", "")


@pytest.mark.parametrize("call", ["run", "result", "room", "close"])
def test_what_one_thread_sets_for_another_ends_its_wait(call: str) -> None:
    """As debuggers and some time limits do it: PyThreadState_SetAsyncExc."""

    class Stop(Exception):
        pass

    session = one_at_a_time(max_pending=2)
    busy = session.submit(rounds(10**15))
    until(busy.running)
    queued = session.submit(rounds(0)) if call == "room" else None
    calls = {
        "run": lambda: session.run(rounds(0)),
        "result": busy.result,
        "room": lambda: session.run(rounds(0), when_full="wait"),
        "close": session.close,
    }
    told: list[type] = []

    def wait() -> None:
        try:
            calls[call]()
        except Stop:
            told.append(Stop)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    state = Path(f"/proc/self/task/{thread.native_id}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "S")  # it sleeps
    until(lambda: call != "run" or session.stats().in_flight == 2)
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_exception(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stop)) == 1
    thread.join(PATIENCE)
    assert told == [Stop]
    assert not busy.done() and not (queued and queued.done())
    session.close(drain=False, timeout=0)
    check_balance(session)


def test_a_fork_in_a_callback_of_a_future() -> None:
    """Its child goes on from there, and ends with the callback: the thread is its only one."""
    program = """
        import os, signal, warnings
        import inferkit, numpy as np, onnx_models
        warnings.simplefilter("ignore", DeprecationWarning)
        x, told, children = np.zeros((1, 1), np.float32), os.pipe(), []
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
        def fork(future):
            children.append(os.fork())
            if children[-1] == 0:
                signal.alarm(60)
                with inferkit.Session(onnx_models.slow_on_demand()) as own:
                    os.write(told[1], b"%d" % len(own.submit(x).result()))
        first = session.submit(x + 50_000)
        first.add_done_callback(fork)
        futures = [session.submit(x) for _ in range(50)]
        for future in futures:
            future.add_done_callback(lambda _: os.write(told[1], b"."))
        while not children:
            os.sched_yield()
        print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
        print([future.result()["y"].shape for future in futures] == 50 * [(1, 1)])
        session.close()
        again = inferkit.Session(onnx_models.slow_on_demand())
        last = again.submit(x)
        last.add_done_callback(lambda _: os.close(told[1]))
        with os.fdopen(told[0]) as whole:
            print("".join(sorted(whole.read())))
        again.close()
    """
    assert run_program(program) == (0, "0\nTrue\n" + 50 * "." + "1\n", "")


def test_a_fork_in_a_coroutine_while_another_waits() -> None:
    """The child's loop cancels what only the parent would be told of, and ends."""
    program = """
        import asyncio, os, signal, sys, warnings
        import inferkit
        from occupied import one_at_a_time, rounds
        warnings.simplefilter("ignore", DeprecationWarning)
        session = one_at_a_time()
        async def main():
            asyncio.get_running_loop().slow_callback_duration = 100
            asking = asyncio.create_task(session.run_async(rounds(20_000)))
            while session.stats().in_flight == 0:
                await asyncio.sleep(0)
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                sys.exit(15)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            print((await asking)["y"].shape)
        asyncio.run(main())
        session.close()
    """
    assert run_program(program) == (0, "15\n(1, 1)\n", "")


def test_a_fork_in_the_handler_of_a_signal() -> None:
    """The call that the handler interrupts goes on in the parent only."""
    program = """
        import os, signal, threading, warnings
        import inferkit, numpy as np, onnx_models
        warnings.simplefilter("ignore", DeprecationWarning)
        def row(rounds):
            return np.array([[rounds]], np.float32)
        children = []
        signal.signal(signal.SIGUSR1, lambda *_: children.append(os.fork()))
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)
        busy = session.submit(row(50_000))
        while not busy.running():
            os.sched_yield()
        def press():
            while session.stats().in_flight < 2:
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGUSR1)
        thread = threading.Thread(target=press)
        thread.start()
        try:
            signal.alarm(60)
            print(session.run(row(2))["y"], flush=True)
        except inferkit.ForkedSessionError as error:
            os._exit(7 if children == [0] else 8)
        thread.join()
        print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
        session.close()
        stats = session.stats()
        print(stats.answered, stats.cancelled)
    """
    assert run_program(program) == (0, "[[2.]]\n7\n2 0\n", "")


def test_programs_started_while_models_run() -> None:
    program = """
        import subprocess, sys, threading
        import inferkit, numpy as np, onnx_models
        x = np.ones((1, 512), np.float32)
        with inferkit.Session(onnx_models.mlp_b()) as session:
            stop = threading.Event()
            def ask():
                while not stop.is_set():
                    session.run(x)
            thread = threading.Thread(target=ask)
            thread.start()
            # With a new session the child is made by fork and exec, else by vfork.
            codes = {
                subprocess.run(["true"], start_new_session=i % 2 == 1, close_fds=i % 3 == 0)
                .returncode
                for i in range(60)
            }
            stop.set()
            thread.join()
            print(codes, session.run(x)["y"].shape)
    """
    assert run_program(program) == (0, "{0} (1, 256)\n", "")


def test_what_belongs_to_one_process_is_not_sent_to_another() -> None:
    with inferkit.Session(onnx_models.mlp_a()) as session:
        future = session.submit(X)
        result = future.result()
        coroutine = session.run_async(X)
        for each in (session, future, coroutine):
            with pytest.raises(TypeError):
                ForkingPickler.dumps(each)
        coroutine.close()
        twin = ForkingPickler.loads(bytes(ForkingPickler.dumps(result)))
        assert np.array_equal(twin["y"], result["y"])


# ---- signals ----------------------------------------------------------------------------------
def test_no_thread_of_ours_takes_the_hosts_signals() -> None:
    wanted = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD}
    seen: set[str] = set()

    def look() -> bool:
        for task, name in threads():
            if name.startswith("inferkit-"):
                lines = (task / "status").read_text().splitlines()
                mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
                assert all(mask >> (number - 1) & 1 for number in wanted), name
                seen.add(name.rstrip("0123456789-"))
        return {"inferkit-run", "inferkit-keeper", "inferkit-notify"} <= seen

    with inferkit.Session(onnx_models.mlp_b(), instances=2, threads=3) as session:
        session.submit(np.ones((1, 512), np.float32)).result()
        until(look)  # a thread names itself
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is all there is")
def test_threads_of_a_models_pool_run_where_the_user_says() -> None:
    core = min(os.sched_getaffinity(0))
    said = {"session.intra_op_thread_affinities": str(core + 1)}  # it counts from one

    def bound() -> bool:
        return any(os.sched_getaffinity(int(task.name)) == {core} for task, _ in threads())

    assert not bound()
    with inferkit.Session(  # a warm-up might find the second thread to be of no use
        onnx_models.mlp_b(), instances=1, threads=2, session_config=said, warmup=False
    ):
        until(bound)


def test_a_soft_time_limit_leaves_the_call_and_nothing_else() -> None:
    program = """
        import os, signal, threading
        import inferkit, numpy as np, onnx_models
        class SoftTimeLimit(Exception):
            pass
        def leave(*_):
            raise SoftTimeLimit
        signal.signal(signal.SIGUSR1, leave)
        def row(rounds):
            return np.array([[rounds]], np.float32)
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, batch_axis=None)
        for call in ("run", "result", "close"):
            busy = session.submit(row(20_000))
            while not busy.running():
                os.sched_yield()
            waiting = session.stats().in_flight
            def press():
                while call == "run" and session.stats().in_flight == waiting:
                    os.sched_yield()
                os.kill(os.getpid(), signal.SIGUSR1)
            thread = threading.Thread(target=press)
            try:
                thread.start()
                if call == "run":
                    session.run(row(0))
                elif call == "result":
                    busy.result()
                else:
                    session.close()
                print("too late")
            except SoftTimeLimit:
                pass
            thread.join()
            assert busy.result()["y"][0, 0] == 20_000
            if call != "close":
                assert session.run(row(2))["y"][0, 0] == 2
        session.close()
        stats = session.stats()
        print(stats.accepted, stats.answered, stats.cancelled, stats.queued_bytes)
    """
    assert run_program(program) == (0, "6 5 1 0\n", "")


# ---- ends -------------------------------------------------------------------------------------
ENDS = pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, exit_5); os.kill(os.getpid(), signal.SIGTERM)", 5),
        ("asyncio.run(leave_the_loop())", 6),
        ("asyncio.run(leave_from_a_callback())", 7),
        ("threading.Thread(target=sys.exit).start()", 0),
        ("threading.Thread(target=ask_on, daemon=True).start(); begun.wait()", 0),
        ("sys.modules['keeps'] = session; del session; sys.exit(9)", 9),
        ("futures[0].mine = session; session.mine = futures; del session, futures", 0),
        ("futures[-1].add_done_callback(ask_on); del futures", 0),
    ],
)

TEN_THOUSAND = """
import asyncio, os, signal, sys, threading
import inferkit, numpy as np, onnx_models
session = inferkit.Session(
    onnx_models.slow_on_demand(), instances=2, max_batch_size=1, max_pending=20_000
)
long, begun = np.array([[5_000]], np.float32), threading.Event()
def exit_5(*_):
    sys.exit(5)
async def leave_the_loop():
    asyncio.ensure_future(session.run_async(long))
    await asyncio.sleep(0)
    sys.exit(6)
async def leave_from_a_callback():
    asyncio.get_running_loop().call_soon(sys.exit, 7)
    await session.run_async(long)
def ask_on(_=None):
    begun.set()
    try:
        while True:
            session.run(long)
    except inferkit.SessionClosedError:
        pass
futures = [session.submit(long) for _ in range(10_000)]
"""


@ENDS
def test_every_end_with_ten_thousand_queued(ending: str, status: int) -> None:
    assert run_program(TEN_THOUSAND + ending) == (status, "", "")


@pytest.mark.skipif(not FULL, reason="figures to read: INFERKIT_FULL_STRESS=1, and pytest -s")
@ENDS
def test_how_long_an_end_with_ten_thousand_queued_takes(
    ending: str, status: int, tmp_path: Path
) -> None:
    ended, seconds = time_the_end(TEN_THOUSAND + "ends_now()\n" + ending, tmp_path)
    print(f"\n{seconds:6.2f} s: {ending or 'falls off its end'}")
    assert ended == status


# ---- limits -----------------------------------------------------------------------------------
def test_one_core_is_one_thread() -> None:
    program = """
        import os
        from pathlib import Path
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import inferkit, numpy as np, onnx_models
        from native_threads import threads as all_threads
        def threads():
            return sorted(name for _, name in all_threads() if name.startswith("inferkit-"))
        with inferkit.Session(onnx_models.mlp_b()) as session:
            session.run(np.ones((1, 512), np.float32))
            # A runner and the keeper; the thread that loaded the model may not be quite gone.
            while len(threads()) != 2:
                os.sched_yield()
            print(threads())
        print(os.sched_getaffinity(0) == {min(os.sched_getaffinity(0))})
    """
    assert run_program(program) == (0, "['inferkit-keeper', 'inferkit-run0']\nTrue\n", "")


def test_no_descriptor_left_is_an_error_of_that_call() -> None:
    program = """
        import asyncio, errno, os, resource
        import inferkit, numpy as np, onnx_models
        x = np.float32([[200]])
        async def main():
            asyncio.get_running_loop().slow_callback_duration = 100
            session = inferkit.Session(onnx_models.slow_on_demand(), instances=1)
            taken = []
            used = len(os.listdir("/proc/self/fd"))
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, hard))
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            try:
                await session.run_async(x)
            except inferkit.SystemLimitError as error:
                print(error.errno == errno.EMFILE, isinstance(error, OSError), error)
            print(session.run(x)["y"], session.submit(x).result()["y"])
            for descriptor in taken:
                os.close(descriptor)
            print((await session.run_async(x))["y"], session.stats().accepted)
            await session.aclose()
        asyncio.run(main())
    """
    code, out, err = run_program(program)
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("True True [Errno 24] no descriptor to wake an event loop: Too many")
    assert rest == ["[[200.]] [[200.]]", "[[200.]] 3"]


def test_no_thread_left_is_an_error_of_that_call() -> None:
    program = """
        import errno, resource
        from pathlib import Path
        import inferkit, numpy as np, onnx_models
        x = np.ones((1, 32), np.float32)
        with inferkit.Session(onnx_models.mlp_a()) as session:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limits = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20), limits[1]))  # no stack fits
            try:
                session.submit(x)
            except inferkit.SystemLimitError as error:
                print(error.errno == errno.EAGAIN, error)
            print(session.run(x)["y"].shape)
            resource.setrlimit(resource.RLIMIT_AS, limits)
            print(session.submit(x).result()["y"].shape, session.stats().accepted)
    """
    code, out, err = run_program(program)
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("True [Errno 11] the system refused a thread: ")
    assert rest == ["(1, 1)", "(1, 1) 2"]


def test_small_stacks() -> None:
    """128 KiB for every thread that is started without a size, and 64 KiB for the callers'."""
    program = """
        import asyncio, os, sys, threading
        if len(sys.argv) == 1:
            import resource
            resource.setrlimit(resource.RLIMIT_STACK, (128 << 10, 128 << 10))
            os.execv(sys.executable, [*sys.orig_argv, "again"])
        import inferkit, numpy as np, onnx_models
        threading.stack_size(64 << 10)
        x, done = np.ones((3, 32), np.float32), []
        def ask():
            session.run(x)
            future = session.submit(x)
            future.add_done_callback(lambda answered: done.append(answered))
            future.result()
            async def main():
                await asyncio.gather(*(session.run_async(x) for _ in range(20)))
            asyncio.run(main())
            try:
                session.run(x[:, 1:])
            except inferkit.InvalidInputError as error:
                done.append(error)
        with inferkit.Session(onnx_models.mlp_a(), threads=4) as session:
            callers = [threading.Thread(target=ask) for _ in range(4)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            print(session.stats().answered)
        print(len(done))
    """
    assert run_program(program) == (0, "88\n8\n", "")


def test_no_home_no_path_and_nowhere_to_write() -> None:
    program = """
        import os
        for name in list(os.environ):
            if name not in ("PYTHONPATH", "LD_LIBRARY_PATH"):
                del os.environ[name]
        os.chdir("/proc")
        import inferkit, numpy as np, onnx_models
        with inferkit.Session(onnx_models.mlp_a()) as session:
            print(session.run(np.ones((1, 32), np.float32))["y"].shape)
    """
    assert run_program(program) == (0, "(1, 1)\n", "")


# ---- another ONNX Runtime ---------------------------------------------------------------------
@pytest.mark.parametrize("first", ["onnxruntime", "inferkit"])
@pytest.mark.parametrize(("requirement", "age"), [(OLDEST, "oldest"), (NEWEST, "newest")])
def test_beside_an_onnxruntime_of_another_version(
    requirement: str, age: str, first: str, pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    library = library_of(requirement, pytestconfig.cache.mkdir(f"onnxruntime-{age}"))
    order = "(theirs, ours)" if first == "onnxruntime" else "(ours, theirs)"
    program = f"""
        import os
        os.environ["INFERKIT_ORT_LIBRARY"] = {str(library)!r}
        import numpy as np, onnx_models
        x, model, answers = np.ones((3, 32), np.float32), onnx_models.mlp_a(), []
        def theirs():
            import onnxruntime
            runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            return lambda: runtime.run(None, {{"x": x}})[0]
        def ours():
            import inferkit
            session = inferkit.Session(model)
            assert {str(library)!r} in session.explain()
            return lambda: session.run(x)["y"]
        asks = [each() for each in {order}]
        for _ in range(100):
            answers = [ask() for ask in asks]
            assert np.allclose(*answers, rtol=1e-5)
        print("equal")
    """
    assert run_program(program) == (0, "equal\n", "")


# ---- time -------------------------------------------------------------------------------------
def test_what_expired_while_the_process_was_stopped_is_not_run_afterwards() -> None:
    program = """
        import os, signal, subprocess
        import inferkit, numpy as np, onnx_models
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
        long = session.submit(np.float32([[50_000]]))
        while not long.running():
            os.sched_yield()
        late = [session.submit(np.float32([[0]]), timeout=0.1) for _ in range(100)]
        resume = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
        print({type(future.exception()).__name__ for future in late})
        print(resume.wait(), long.result()["y"])
        session.close()
        stats = session.stats()
        print(stats.expired, stats.answered, stats.batches)
    """
    lines = "{'DeadlineExceededError'}", "0 [[50000.]]", "100 1 1", ""
    assert run_program(program) == (0, "\n".join(lines), "")


@pytest.mark.parametrize("uptime", [0, 10**8, 2**31])
def test_a_machine_that_has_been_up_for_long(uptime: int) -> None:
    offset = uptime - int(time.clock_gettime(time.CLOCK_MONOTONIC)) if uptime else 0
    unshare = ["unshare", "--time", "--fork", "--monotonic", str(offset)]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("no time namespace to be had")
    program = (
        "import inferkit, numpy as np, onnx_models, os, time\n"
        "x, slow = np.ones((1, 32), np.float32), np.float32([[50_000]])\n"
        "with inferkit.Session(onnx_models.mlp_a(), max_delay=0.001) as session:\n"
        "    for timeout in (None, 60, 1e30):\n"
        "        session.run(x, timeout=timeout), session.submit(x, timeout=timeout).result()\n"
        "with inferkit.Session(onnx_models.slow_on_demand(), instances=1) as session:\n"
        "    first = session.submit(slow)\n"
        "    while not first.running():\n"
        "        os.sched_yield()\n"
        "    try:\n"
        "        session.run(x[:, :1], timeout=0.01)\n"
        "    except inferkit.DeadlineExceededError:\n"
        f"        print('late', time.monotonic() >= {uptime}, first.result()['y'][0, 0])\n"
    )
    done = subprocess.run(
        [*unshare, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "late True 50000.0\n", "")
