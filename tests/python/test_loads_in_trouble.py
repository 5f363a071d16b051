"""What a system in want, or a fork, does to the opening of a session."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import inferkit
import pytest
from ort_wheels import NEWEST, OLDEST, library_of
from preload import preload
from programs import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, replaces C functions")

# allow_threads(n): the n + 1st from then on is refused, and those after it; below 0: none is.
NO_MORE_THREADS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

static int left = -1;

void allow_threads(int count) { left = count; }

int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*work)(void*), void* of) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (left == 0) return EAGAIN;
  if (left > 0) --left;
  return real(thread, how, work, of);
}
"""


@pytest.mark.parametrize(("requirement", "age"), [(OLDEST, "oldest"), (NEWEST, "newest")])
def test_each_thread_that_is_refused_is_an_error_of_the_opening(
    requirement: str,
    age: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """ONNX Runtime alone waits for ever where its pools get their first thread and no second."""
    assert pytestconfig.cache is not None
    library = library_of(requirement, pytestconfig.cache.mkdir(f"onnxruntime-{age}"))
    monkeypatch.setenv("INFERKIT_ORT_LIBRARY", str(library))
    preload(NO_MORE_THREADS, tmp_path, monkeypatch)
    program = """
        import ctypes, errno, os
        import inferkit, onnx_models
        model, allow = onnx_models.identity(), ctypes.CDLL(None).allow_threads
        inferkit.Session(model).close()
        before = len(os.listdir("/proc/self/task"))
        for count in range(100):
            allow(count)
            try:
                inferkit.Session(model, threads=4, instances=2).close()
                break
            except inferkit.SystemLimitError as refusal:
                assert refusal.errno == errno.EAGAIN, refusal
                assert "the system refused a thread" in str(refusal)
            finally:
                allow(-1)
            assert len(os.listdir("/proc/self/task")) == before
        print(count > 3)
    """
    assert run_program(program) == (0, "True\n", "")


@pytest.fixture
def slow_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Who loads it waits until it is closed by who writes it."""
    model = tmp_path / "slow.onnx"
    os.mkfifo(model)
    monkeypatch.setattr("os.path.isfile", lambda path: True)
    return model


@contextmanager
def loading(model: Path, meanwhile: Callable[[], None]) -> Iterator[None]:
    """While a thread loads it, and another does something before it ends that load."""

    def load() -> None:
        with pytest.raises(inferkit.ModelLoadError) as caught:
            inferkit.Session(model)
        refused.append(caught.value)

    def end(descriptor: int) -> None:
        for _ in range(100):
            time.sleep(0.001)
        meanwhile()
        os.close(descriptor)

    refused: list[BaseException] = []
    loader = threading.Thread(target=load)
    loader.start()
    ender = threading.Thread(target=end, args=[until_it_is_read(model)])
    ender.start()
    yield
    loader.join()
    ender.join()
    assert len(refused) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_goes_on_while_a_fork_waits_for_a_load(slow_model: Path) -> None:
    ended = threading.Event()
    with loading(slow_model, ended.set):
        child = os.fork()
        if child == 0:
            os._exit(0 if ended.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ctrl_c_while_a_fork_waits_for_a_load_is_not_lost(slow_model: Path) -> None:
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    with loading(slow_model, interrupt), pytest.raises(KeyboardInterrupt):
        if os.fork() == 0:
            os._exit(0)
        for _ in range(1000):
            pass
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0


def test_what_is_raised_while_a_fork_waits_skips_no_hook(tmp_path: Path) -> None:
    """Those of Python's that were registered after inferkit was imported.

    Twice in one process, where one more is registered in between.
    """
    program = f"""
        import os, signal, threading, time, warnings
        import inferkit
        warnings.simplefilter("ignore", DeprecationWarning)
        def lock_over_forks():
            lock = threading.Lock()
            def lock_it(): lock.acquire()
            def unlock_it(): lock.release()
            os.register_at_fork(before=lock_it, after_in_parent=unlock_it, after_in_child=unlock_it)
            return lock
        lock = lock_over_forks()
        os.path.isfile = lambda path: True

        def load(model):
            try:
                inferkit.Session(model)
            except inferkit.ModelLoadError:
                pass

        def interrupt_and_end_the_load(model):
            while True:
                try:
                    descriptor = os.open(model, os.O_WRONLY | os.O_NONBLOCK)
                    break
                except OSError:
                    time.sleep(0.001)
            reading.set()
            while not lock.locked():
                time.sleep(0.001)
            for _ in range(100):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            os.close(descriptor)

        for number in range(2):
            model = {str(tmp_path)!r} + f"/{{number}}.onnx"
            os.mkfifo(model)
            reading = threading.Event()
            work = [load, interrupt_and_end_the_load]
            threads = [threading.Thread(target=each, args=[model]) for each in work]
            for thread in threads:
                thread.start()
            reading.wait()
            try:
                if os.fork() == 0:
                    os._exit(0)
                for _ in range(1000):
                    pass
            except KeyboardInterrupt:
                print("Ctrl-C", lock.locked(), os.wait()[1])
            for thread in threads:
                thread.join()
            lock = lock_over_forks()
    """
    assert run_program(program) == (0, "Ctrl-C False 0\n" * 2, "")


def test_a_fork_keeps_the_gil_where_nobody_loads() -> None:
    """A signal that came while it is taken back would be raised in somebody's hook, and lost."""
    program = """
        import _thread, sys, time
        import inferkit
        sys.setswitchinterval(100)
        before_release = 0
        for _ in range(50):
            ran = []
            _thread.start_new_thread(ran.append, (True,))
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:  # it comes to wait for the GIL
                pass
            inferkit._core.await_loads()
            inferkit._core.let_loads_in()
            before_release += len(ran)
            while not ran:
                time.sleep(0.001)
        print(before_release)
    """
    assert run_program(program) == (0, "0\n", "")


def test_a_hook_that_forks_gets_nothing_of_what_was_raised_before_it(slow_model: Path) -> None:
    program = f"""
        import os, signal, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        def fork_too():
            if forked:
                return
            forked.append(True)
            child = os.fork()
            if child == 0:
                os._exit(0)
            for _ in range(1000):
                pass
            print("came to its end", os.waitpid(child, 0)[1])
        forked = []
        os.register_at_fork(before=fork_too)  # runs after inferkit's, which waits
        import inferkit

        def load():
            try:
                inferkit.Session(model)
            except inferkit.ModelLoadError:
                pass

        def interrupt_and_end_the_load():
            for _ in range(100):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            os.close(descriptor)

        model = {str(slow_model)!r}
        os.path.isfile = lambda path: True
        loader = threading.Thread(target=load)
        loader.start()
        descriptor = os.open(model, os.O_WRONLY)  # once it is read
        threading.Thread(target=interrupt_and_end_the_load).start()
        try:
            if os.fork() == 0:
                os._exit(0)
            for _ in range(1000):
                pass
        except KeyboardInterrupt:
            print("Ctrl-C", os.wait()[1])
        loader.join()
    """
    assert run_program(program) == (0, "came to its end 0\nCtrl-C 0\n", "")


def test_a_fork_that_fails_holds_no_load_up() -> None:
    program = """
        import os, resource, threading, time
        import inferkit, onnx_models

        def fail_to_fork():
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            try:
                os.forkpty()
            except OSError as error:
                print(type(error).__name__)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        model = onnx_models.identity()
        inferkit.Session(model).close()
        forker = threading.Thread(target=fail_to_fork)
        forker.start()
        forker.join()
        begun = time.monotonic()
        inferkit.Session(model).close()
        print(time.monotonic() - begun < 10)  # held back, each of its two loads waits for as long
    """
    assert run_program(program) == (0, "OSError\nTrue\n", "")


def test_a_fork_at_the_end_of_the_stack_is_made_or_it_fails() -> None:
    program = """
        import os, warnings
        import inferkit

        def fork_at(depth):
            if depth > 0:
                return fork_at(depth - 1)
            child = os.fork()
            if child == 0:
                os._exit(0)
            return child

        for depth in range(970, 1000):
            try:
                os.waitpid(fork_at(depth), 0)
            except RecursionError:
                try:
                    print("lost", os.wait())
                except ChildProcessError:
                    pass
    """
    status, lost, _ = run_program(program)  # CPython's own hooks complain
    assert (status, lost) == (0, "")


def until_it_is_read(fifo: Path) -> int:
    """Wait until somebody opens it for reading; a descriptor to write to it."""
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.001)
