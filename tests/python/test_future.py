"""`session.submit(...)`: a concurrent.futures.Future in every respect."""

import asyncio
import concurrent.futures
import gc
import sys
import threading
import weakref
from collections.abc import Callable

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from occupied import Held, one_at_a_time, rounds, until
from programs import run_program

X = {"x": np.linspace(-1, 1, 32, dtype=np.float32)[None]}


# ---- answers ----------------------------------------------------------------------------------
def test_the_answer_is_that_of_run(mlp: inferkit.Session) -> None:
    future = mlp.submit(X)
    assert isinstance(future, inferkit.Future)
    assert isinstance(future, concurrent.futures.Future)
    assert np.array_equal(future.result(60)["y"], mlp.run(X)["y"])
    assert future.done()
    assert not future.running()
    assert not future.cancelled()
    assert future.exception() is None


def test_errors_of_the_call_are_raised_by_submit(
    mlp: inferkit.Session, nothing_queued: Callable[[inferkit.Session], object]
) -> None:
    with nothing_queued(mlp):  # type: ignore[attr-defined]
        with pytest.raises(inferkit.InvalidInputError):
            mlp.submit({"z": X["x"]})
        with pytest.raises(TypeError):
            mlp.submit(X, timeuot=1)  # type: ignore[call-arg]


def test_errors_of_the_run_are_the_futures() -> None:
    with inferkit.Session(onnx_models.gather(), instances=1) as session:
        futures = [session.submit(np.array([100 if i == 2 else i], np.int64)) for i in range(6)]
        failed = futures.pop(2)
        assert isinstance(failed.exception(60), inferkit.InferkitError)
        with pytest.raises(inferkit.InferkitError):
            failed.result()
        assert [f.result(60)["y"][0, 0] for f in futures] == [0, 1, 3, 4, 5]
        check_balance(session)


def test_wait_and_as_completed(mlp: inferkit.Session) -> None:
    futures = [mlp.submit(X) for _ in range(50)]
    done, pending = concurrent.futures.wait(futures, 60)
    assert (len(done), len(pending)) == (50, 0)
    futures = [mlp.submit(X) for _ in range(50)]
    assert {id(f) for f in concurrent.futures.as_completed(futures, 60)} == set(map(id, futures))


def test_many_threads_submit(mlp: inferkit.Session) -> None:
    expected = mlp.run(X)["y"]
    wrong: list[object] = []

    def caller() -> None:
        for _ in range(50):
            answer = mlp.submit(X).result(60)["y"]
            if not np.allclose(answer, expected, rtol=1e-5):
                wrong.append(answer)

    threads = [threading.Thread(target=caller) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- cancel -----------------------------------------------------------------------------------
def test_cancel_while_queued() -> None:
    called: list[inferkit.Future] = []
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(called.append)  # type: ignore[arg-type]
            assert not future.running()
            assert future.cancel()
            assert called == [future]
            assert future.cancel()
            assert future.cancelled() and future.done() and not future.running()
            assert concurrent.futures.wait([future], 0).done == {future}
            assert list(concurrent.futures.as_completed([future], 0)) == [future]
            with pytest.raises(concurrent.futures.CancelledError):
                future.result()
            assert session.stats().cancelled == 1
        check_balance(session)
        assert called == [future]


def test_a_time_that_is_no_number_is_refused() -> None:
    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0))
        for ask in (future.result, future.exception):
            with pytest.raises(inferkit.InvalidInputError, match="nan"):
                ask(float("nan"))


def test_a_waiter_hears_of_a_cancel() -> None:
    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0))
        outcome: list[object] = []
        waiting = threading.Event()

        def wait() -> None:
            waiting.set()
            outcome.append(concurrent.futures.wait([future], 60).done)

        thread = threading.Thread(target=wait)
        thread.start()
        waiting.wait()
        assert future.cancel()
        thread.join()
        assert outcome == [{future}]


def test_no_cancel_while_it_runs() -> None:
    with one_at_a_time() as session:
        future = session.submit(rounds(20_000))
        until(lambda: future.running() or future.done())
        assert not future.cancel()
        assert future.result(60)["y"][0, 0] == 20_000
        assert not future.cancel()
        check_balance(session)
        assert session.stats().cancelled == 0


def test_threads_cancel_the_same_future() -> None:
    with one_at_a_time() as session:
        with Held(session):
            futures = [session.submit(rounds(0)) for _ in range(50)]
            called: list[object] = []
            for future in futures:
                future.add_done_callback(called.append)
            threads = [
                threading.Thread(target=lambda: [future.cancel() for future in futures])
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert all(future.cancelled() for future in futures)
            assert len(called) == 50
        check_balance(session)
        assert session.stats().cancelled == 50


def test_a_cancel_calls_back_in_order_and_a_callback_that_fails_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[str] = []

    def fail(_: inferkit.Future) -> None:
        called.append("fail")
        raise ZeroDivisionError

    with one_at_a_time() as session, Held(session):
        future = session.submit(rounds(0))
        future.add_done_callback(lambda _: called.append("first"))
        future.add_done_callback(fail)
        future.add_done_callback(lambda _: called.append("last"))
        assert future.cancel()
        assert called == ["first", "fail", "last"]
        future.add_done_callback(lambda _: called.append("late"))
        assert called[3:] == ["late"]
    assert [each.exc_info[0] for each in caplog.records if each.exc_info] == [ZeroDivisionError]


def test_close_resolves_what_is_queued() -> None:
    session = one_at_a_time()
    with Held(session):
        futures = [session.submit(rounds(0)) for _ in range(100)]
        session.close(drain=False)
        kinds = {type(future.exception(60)) for future in futures}
        assert kinds == {inferkit.SessionClosedError}
        with pytest.raises(inferkit.SessionClosedError):
            session.submit(rounds(0))
    check_balance(session)


# ---- asyncio ----------------------------------------------------------------------------------
def test_wrap_future() -> None:
    async def main(session: inferkit.Session) -> None:
        wrapped = asyncio.wrap_future(session.submit(rounds(3)))
        assert (await wrapped)["y"][0, 0] == 3
        with Held(session):
            future = session.submit(rounds(0))
            cancelled = asyncio.wrap_future(future)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await asyncio.sleep(0)  # asyncio passes it on in a callback of its own
            assert future.cancelled()

    with one_at_a_time() as session:
        asyncio.run(main(session))
        check_balance(session)


# ---- callbacks --------------------------------------------------------------------------------
def test_callbacks_share_one_thread_of_ours() -> None:
    names: list[str] = []
    idents: set[int] = set()

    def note(_: object) -> None:
        with open(f"/proc/self/task/{threading.get_native_id()}/comm") as file:
            names.append(file.read().strip())
        idents.add(threading.get_ident())

    with one_at_a_time() as session:
        with Held(session):
            futures = [session.submit(rounds(0)) for _ in range(20)]
            for future in futures:
                future.add_done_callback(note)
        until(lambda: len(names) == 20)
    assert names == ["inferkit-notify"] * 20
    assert len(idents) == 1


def test_callbacks_see_the_hosts_arithmetic() -> None:
    halves: list[float] = []
    smallest = float(np.finfo(np.float64).tiny)
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(lambda _: halves.append(smallest / 2))
        until(lambda: halves)
    assert halves == [smallest / 2] != [0.0]


def test_a_failing_callback_is_logged_and_the_next_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[int] = []
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
            future.add_done_callback(lambda _: called.append(1))
        until(lambda: called)
    assert called == [1]
    assert "exception calling callback" in caplog.text
    caplog.handler.records.clear()


def test_an_exit_in_a_callback_does_not_stop_the_notifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooked: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: hooked.append(info.exc_type))
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(lambda _: sys.exit(3))
        assert future.result(60)["y"][0, 0] == 0
        assert session.submit(rounds(1)).result(60)["y"][0, 0] == 1
    assert hooked == [SystemExit]


def test_a_callback_may_not_wait_for_another_future() -> None:
    raised: list[BaseException] = []
    with one_at_a_time() as session:

        def wait(first: object) -> None:
            second = session.submit(rounds(0))
            for ask in (second.result, second.exception):
                try:
                    ask()
                except RuntimeError as error:
                    raised.append(error)
            seconds.append(second)

        seconds: list[inferkit.Future] = []
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(wait)
        future.result(60)
        until(lambda: seconds)
        assert seconds[0].result(60)["y"][0, 0] == 0
    assert ["callback" in str(error) for error in raised] == [True, True]


def test_a_callback_may_run_and_submit() -> None:
    answers: list[float] = []
    with one_at_a_time() as session:
        with Held(session):
            future = session.submit(rounds(0))
            future.add_done_callback(lambda _: answers.append(session.run(rounds(9))["y"][0, 0]))
            future.add_done_callback(
                lambda _: session.submit(rounds(8)).add_done_callback(
                    lambda done: answers.append(done.result()["y"][0, 0])
                )
            )
        until(lambda: len(answers) == 2)
    assert answers == [9, 8]


# ---- lifetime ---------------------------------------------------------------------------------
def test_a_dropped_future_leaves_nothing_behind() -> None:
    with one_at_a_time() as session:
        with Held(session):
            gone = [weakref.ref(session.submit(rounds(0))) for _ in range(20)]
            gone.append(weakref.ref(cancelled := session.submit(rounds(0))))
            assert cancelled.cancel()
            del cancelled
        until(lambda: session.stats().in_flight == 0)
        until(lambda: gc.collect() >= 0 and not any(future() for future in gone))
        check_balance(session)


def test_the_interpreter_ends_with_futures_pending() -> None:
    program = """
        import onnx_models, inferkit, numpy as np
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
        told = []
        futures = [session.submit(np.float32([[2000]])) for _ in range(200)]
        for future in futures:
            future.add_done_callback(told.append)
    """
    assert run_program(program) == (0, "", "")


def test_a_forked_child_has_its_own_notifier() -> None:
    program = """
        import onnx_models, inferkit, numpy as np, os, sys, warnings
        x = np.zeros((1, 1), np.float32)
        session = inferkit.Session(onnx_models.slow_on_demand())
        session.submit(x).result()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            try:
                session.submit(x)
            except inferkit.ForkedSessionError:
                pass
            with inferkit.Session(onnx_models.slow_on_demand()) as own:
                assert own.submit(x).result(60)["y"][0, 0] == 0
            print("child", flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(session.submit(x).result(60)["y"][0, 0])
        session.close()
    """
    assert run_program(program) == (0, "child\n0.0\n", "")


def test_a_forked_child_does_not_wait_for_the_parents_answer() -> None:
    program = """
        import onnx_models, inferkit, numpy as np, os, warnings
        session = inferkit.Session(onnx_models.slow_on_demand(), instances=1, max_batch_size=1)
        done = session.submit(np.float32([[0]]))
        done.result()
        pending = session.submit(np.float32([[20_000]]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            for wait in (pending.result, pending.exception):
                try:
                    wait()
                except inferkit.ForkedSessionError as error:
                    assert "parent" in str(error)
            assert not pending.cancel()  # not the child's to take back
            print(done.result()["y"][0, 0], flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(pending.result(60)["y"][0, 0])
        session.close()
    """
    assert run_program(program) == (0, "0.0\n20000.0\n", "")


@pytest.mark.parametrize("used", [False, True])
def test_nothing_is_submitted_once_the_interpreter_leaves(used: bool) -> None:
    program = f"""
        import atexit
        def late():
            with inferkit.Session(onnx_models.slow_on_demand()) as session:
                print(session.run(x)["y"][0, 0])
                try:
                    session.submit(x)
                except RuntimeError as error:
                    print(error)
                print(session.stats().accepted)
        atexit.register(late)  # first in, last out: after inferkit's own
        import onnx_models, inferkit, numpy as np
        x = np.zeros((1, 1), np.float32)
        with inferkit.Session(onnx_models.slow_on_demand()) as session:
            session.{"submit(x).result" if used else "close"}()
    """
    told = "the interpreter is shutting down: nobody could be told the answer"
    assert run_program(program) == (0, f"0.0\n{told}\n1\n", "")


def test_the_notifier_starts_with_the_first_submit() -> None:
    program = """
        import onnx_models, inferkit, numpy as np
        from native_threads import threads
        def notifiers():
            return [name for _, name in threads()].count("inferkit-notify")
        x = np.zeros((1, 1), np.float32)
        with inferkit.Session(onnx_models.slow_on_demand()) as session:
            session.run(x)
            before = notifiers()
            session.submit(x).result()
            session.submit(x).result()
            print(before, notifiers())
    """
    assert run_program(program) == (0, "0 1\n", "")
