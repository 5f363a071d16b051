"""Servers that fork their workers, as people run them: gunicorn, Celery, multiprocessing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from programs import run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

PATIENCE = 60  # seconds until a test gives a server up


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not find_spec(package), reason=f"{package} is not installed")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """For a server whose modules lie in the folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), **more}


# ---- gunicorn ---------------------------------------------------------------------------------
SITE = """
    import os
    import inferkit, numpy as np, onnx_models

    MODEL = onnx_models.slow_on_demand()
    WHEN = os.environ["OPENED"]
    BEGUN = int(os.environ["BEGUN"])
    session = inferkit.Session(MODEL, instances=2) if WHEN == "before the fork" else None

    def open_session():
        global session
        session = inferkit.Session(MODEL, instances=2)

    def answer(environ, start_response):
        number, rounds = environ["PATH_INFO"].split("/")[1:]
        os.write(BEGUN, f"{number}\\n".encode())
        if session is None:
            open_session()
        try:
            y = session.run(np.float32([[float(rounds)]]))["y"]
            told = f"{os.getpid()} {y[0, 0]:.0f}"
        except inferkit.ForkedSessionError as error:
            told = f"{os.getpid()} {type(error).__name__}: {error}"
        start_response("200 OK", [("Content-Length", str(len(told))), ("Connection", "close")])
        return [told.encode()]
"""
SETTINGS = """
    import os
    import site_of_the_test
    preload_app, workers, control_socket_disable = True, 2, True
    # One that does not leave by itself is not killed before the test gives up.
    graceful_timeout = timeout = 600
    def post_worker_init(worker):  # a worker hears no signal before
        os.write(int(os.environ["READY"]), b"!")
    def post_fork(server, worker):
        if site_of_the_test.WHEN == "post_fork":
            site_of_the_test.open_session()
"""


class Gunicorn:
    """A running server, whom it listens to, and the numbers of the requests that it has begun."""

    def __init__(self, folder: Path, opened: str, *options: str) -> None:
        (folder / "site_of_the_test.py").write_text(textwrap.dedent(SITE))
        (folder / "settings.py").write_text(textwrap.dedent(SETTINGS))
        self.address = folder / "s"
        self._log = folder / "log"
        self._begun, begin = os.pipe()
        ready, tell = os.pipe()
        command = [sys.executable, "-m", "gunicorn", "-c", str(folder / "settings.py")]
        command += ["--bind", f"unix:{self.address}", *options, "site_of_the_test:answer"]
        env = environment(folder, OPENED=opened, BEGUN=str(begin), READY=str(tell))
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, pass_fds=(begin, tell), env=env, stdout=log, stderr=log
            )
        os.close(begin), os.close(tell)
        self._ready = os.fdopen(ready, "rb")
        self.await_workers()

    def ask(self, number: int, rounds: int = 0) -> list[str]:
        """The process that answered, and what it said."""
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        try:
            connection.sock.connect(str(self.address))
            connection.request("GET", f"/{number}/{rounds}")
            response = connection.getresponse()
            assert response.status == 200, response.read()
            return response.read().decode().split(maxsplit=1)
        finally:
            connection.close()

    def await_workers(self) -> None:
        assert self._ready.read(2) == b"!!", self.log()

    def log(self) -> str:
        return self._log.read_text()

    def leave(self) -> set[int]:
        """Ends it as a service manager does; the requests that it had begun."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log()
        self._ready.close()
        with os.fdopen(self._begun) as begun:
            numbers = {int(line) for line in begun}
        # What it says of a worker that crashed, left with another code, hung or was killed.
        for word in ("Traceback", "exited with code", "was sent", "SIGKILL"):
            assert word not in self.log(), self.log()
        return numbers


@contextmanager
def gunicorn(folder: Path, opened: str, *options: str) -> Iterator[Gunicorn]:
    server = Gunicorn(folder, opened, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@needs("gunicorn")
@pytest.mark.parametrize("opened", ["post_fork", "at the first request", "before the fork"])
def test_gunicorn_with_a_preloaded_application(tmp_path: Path, opened: str) -> None:
    with gunicorn(tmp_path, opened) as server:
        answers = [server.ask(number, rounds=number)[1] for number in range(8)]
        if opened == "before the fork":
            for answer in answers:
                assert answer.startswith("ForkedSessionError: ") and "post_fork" in answer
        else:
            assert answers == [str(number) for number in range(8)]
        assert server.leave() == set(range(8))


class Callers:
    """Threads that ask on and on until the server is gone; who was answered, and by whom."""

    def __init__(self, server: Gunicorn, count: int) -> None:
        self.server = server
        self.answered: dict[int, str] = {}
        self.wrong: list[object] = []
        self.progress = threading.Condition()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(i, count)) for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _ask_on(self, number: int, step: int) -> None:
        while True:
            try:
                worker, answer = self.server.ask(number, rounds=200)
            except (OSError, http.client.HTTPException):  # not accepted any more
                return
            with self.progress:
                self.answered[number] = worker
                if answer != "200":
                    self.wrong.append(answer)
                self.progress.notify_all()
            number += step

    def wait_for(self, others_than: set[str], answers: int) -> set[str]:
        """Until two other workers than these have given so many answers; who they were."""

        def arrived() -> bool:
            by_others = [who for who in self.answered.values() if who not in others_than]
            return len(by_others) >= answers and len(set(by_others)) >= 2

        with self.progress:
            assert self.progress.wait_for(arrived, PATIENCE), self.server.log()
            return set(self.answered.values())

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@needs("gunicorn")
@pytest.mark.parametrize("options", [[], ["--threads=4"]], ids=["sync", "gthread"])
def test_gunicorn_replaces_its_workers_and_ends_under_load(
    tmp_path: Path, options: list[str]
) -> None:
    with gunicorn(tmp_path, "post_fork", *options) as server:
        callers = Callers(server, 4)
        first = callers.wait_for(set(), 40)
        server.process.send_signal(signal.SIGHUP)
        server.await_workers()
        callers.wait_for(first, 40)
        begun = server.leave()
        callers.join()
    assert begun == set(callers.answered)
    assert callers.wrong == []


# ---- Celery -----------------------------------------------------------------------------------
TASKS = """
    import os
    from pathlib import Path

    import celery, inferkit, numpy as np, onnx_models
    from celery.exceptions import SoftTimeLimitExceeded
    from celery.signals import worker_process_init

    letters = str(Path(__file__).parent / "letters")
    app = celery.Celery("tasks_of_the_test", broker="filesystem://")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": letters,
            "data_folder_out": letters,
            "control_folder": str(Path(__file__).parent / "control"),
            "polling_interval": 0.01,
        },
        result_backend="file://" + str(Path(__file__).parent / "results"),
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    MODEL = onnx_models.slow_on_demand()
    own = None
    inherited = inferkit.Session(MODEL, instances=1) if "celery" in os.environ["ROLE"] else None

    def row(rounds):
        return np.float32([[rounds]])

    @worker_process_init.connect
    def open_session(**_):
        global own
        own = inferkit.Session(MODEL, instances=2)

    @app.task
    def answer(rounds):
        return float(own.run(row(rounds))["y"][0, 0])

    @app.task
    def ask_inherited():
        try:
            inherited.run(row(0))
        except inferkit.ForkedSessionError as error:
            return str(error)

    @app.task(soft_time_limit=1)
    def take_too_long():
        future = own.submit(row(1e15))
        try:
            future.result()
        except SoftTimeLimitExceeded:
            return [future.running(), own.stats().in_flight]
"""
CLIENT = """
    import json
    import tasks_of_the_test as tasks
    asked = [tasks.answer.delay(3), tasks.ask_inherited.delay(), tasks.take_too_long.delay(),
             tasks.answer.delay(4)]
    print(json.dumps([each.get(timeout=60, interval=0.01) for each in asked]))
"""


@needs("celery")
def test_a_celery_worker_with_a_soft_time_limit(tmp_path: Path) -> None:
    for folder in ("letters", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tasks_of_the_test.py").write_text(textwrap.dedent(TASKS))
    command = [sys.executable, "-m", "celery", "-A", "tasks_of_the_test", "worker"]
    # One process: the next task comes to where the one before was cut short.
    command += ["--pool=prefork", "--concurrency=1", "--loglevel=INFO"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    env = {**environment(tmp_path, ROLE="celery"), "C_FORCE_ROOT": "1"}
    log = tmp_path / "log"
    with log.open("w") as out:
        worker = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        told = ask_celery(tmp_path)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, log.read_text()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    first, refusal, cut, after = told
    assert (first, cut, after) == (3.0, [True, 1], 4.0)
    assert "worker_process_init" in refusal
    for word in ("Traceback", "WorkerLostError", "exitcode", "SIGKILL", "terminate called"):
        assert word not in log.read_text(), log.read_text()


def ask_celery(folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CLIENT)],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment(folder, ROLE="client"),
        check=False,
    )
    assert done.returncode == 0, done.stderr + (folder / "log").read_text()
    return json.loads(done.stdout)


# ---- multiprocessing --------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_multiprocessing(method: str) -> None:
    program = f"""
        import pooled, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        if __name__ == "__main__":
            pooled.serve({method!r})
    """
    told = "refused" if method == "fork" else "none inherited"
    assert run_program(program) == (0, f"True {{{told!r}}} True\n", "")
