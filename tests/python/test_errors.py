"""Typed errors: complete, and with texts that name what was expected and what came."""

import asyncio
import copy
import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from conftest import check_balance
from inferkit import _core, errors

MODEL = onnx_models.mlp_a()


# ---- the classes ----------------------------------------------------------------------------
def test_every_code_has_a_class_a_cause_and_a_fix() -> None:
    table = _core.error_table()
    assert len({row[0] for row in table}) == len(table) == 11
    for _, python_class, cause, fix in table:
        assert issubclass(getattr(errors, python_class), errors.InferkitError)
        assert cause and fix


def test_a_code_without_a_class_fails_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [*_core.error_table(), ("new", "NewError", "cause", "fix")]
    monkeypatch.setattr(_core, "error_table", lambda: table)
    with pytest.raises(ImportError, match="NewError"):
        errors._require_every_class()


def test_the_tree_shows_every_class() -> None:
    tree = errors.__doc__ or ""
    for name in errors.__all__:
        value = getattr(errors, name)
        assert name in tree
        assert value.__doc__
        assert value.__module__ == "inferkit.errors"
        assert getattr(inferkit, name) is value


@pytest.mark.parametrize(
    ("ours", "pythons"),
    [
        (inferkit.RuntimeNotFoundError, ImportError),
        (inferkit.InvalidInputError, ValueError),
        (inferkit.DeadlineExceededError, TimeoutError),
        (inferkit.OutOfMemoryError, MemoryError),
        (inferkit.OutOfMemoryError, inferkit.BackendError),
        (inferkit.SystemLimitError, OSError),
    ],
)
def test_errors_are_pythons_too(ours: type[Exception], pythons: type[Exception]) -> None:
    assert issubclass(ours, pythons)
    assert str(ours("what happened")) == "what happened"


def test_a_backend_error_travels() -> None:
    error = inferkit.BackendError("it broke", 2)
    twin = copy.copy(error)  # as between processes
    assert (type(twin), str(twin), twin.code) == (inferkit.BackendError, "it broke", 2)
    assert inferkit.BackendError().code == 0


# ---- loading --------------------------------------------------------------------------------
def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "mödel.onnx"
    for spelled in (path, str(path)):
        with pytest.raises(inferkit.ModelLoadError, match=r"no such file.*mödel\.onnx"):
            inferkit.Session(spelled)
    with pytest.raises(inferkit.ModelLoadError, match=str(tmp_path)):
        inferkit.Session(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.onnx"
    Path(os.fsdecode(path)).write_bytes(MODEL)
    with inferkit.Session(os.fsdecode(path)) as session:
        assert session.name == "?"
        assert session.run(np.zeros((1, 32), np.float32))


@pytest.mark.parametrize("content", [onnx_models.NOT_A_MODEL, MODEL[:-100], b"\0" * 1000])
def test_a_corrupt_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrupt.onnx"
    path.write_bytes(content)
    with pytest.raises(inferkit.ModelLoadError, match=r"corrupt\.onnx"):
        inferkit.Session(path)
    with pytest.raises(inferkit.ModelLoadError) as caught:
        inferkit.Session(content)
    assert len(str(caught.value)) > 20  # onnxruntime's own words


def test_no_bytes_at_all() -> None:
    with pytest.raises(inferkit.ModelLoadError, match="no bytes"):
        inferkit.Session(b"")


def test_an_element_type_that_is_not_served() -> None:
    with pytest.raises(inferkit.ModelLoadError, match=r"'x'.*string"):
        inferkit.Session(onnx_models.identity("string"))


def test_a_provider_that_is_not_there() -> None:
    for options in ({"providers": ["NoSuchProvider"]}, {"device": "cuda:1"}):
        with pytest.raises(inferkit.ModelLoadError, match="CPUExecutionProvider"):
            inferkit.Session(MODEL, **options)


def test_batching_that_the_model_does_not_allow() -> None:
    with pytest.raises(inferkit.InferkitError, match="fixed first dimension"):
        inferkit.Session(onnx_models.fixed_batch(), batch_axis=0)


# ---- options --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("max_batch_size", 0, ["'auto'", "1", "got 0"]),
        ("max_batch_size", -3, ["got -3"]),
        ("max_batch_size", 2.5, ["got 2.5"]),
        ("max_batch_size", True, ["got True"]),
        ("max_batch_size", "many", ["got 'many'"]),
        ("max_batch_size", 2**40, ["1048576"]),
        ("max_delay", -0.1, ["seconds", "got -0.1"]),
        ("max_delay", float("nan"), ["seconds", "got nan"]),
        ("max_delay", float("inf"), ["seconds", "got inf"]),
        ("max_delay", "2ms", ["seconds", "got '2ms'"]),
        pytest.param("max_delay", 10**400, ["seconds"], id="more than a float"),
        pytest.param("max_delay", 10**5000, ["seconds", "huge int"], id="more than a text"),
        ("name", "a\ud800", ["name", "surrogates"]),
        ("providers", ["a\ud800"], ["providers"]),
        ("provider_options", {3: {}}, ["provider_options", "[3]"]),
        ("session_config", {"a\0b": "x"}, ["session_config", "NUL"]),
        ("session_config", {"a": 10**5000}, ["session_config", "digits"]),
        ("batch_axis", np.array([3, 4]), ["batch_axis", "0 or None"]),
        ("max_batch_size", np.array([1, 2]), ["max_batch_size", "int"]),
        ("instances", 0, ["'auto'", "32", "got 0"]),
        ("instances", 33, ["32", "got 33"]),
        ("threads", -1, ["'auto'", "got -1"]),
        ("device", "tpu", ["'cpu'", "'cuda'", "got 'tpu'"]),
        ("device", None, ["got None"]),
        ("providers", "CPUExecutionProvider", ["list", "got 'CPUExecutionProvider'"]),
        ("providers", [], ["got []"]),
        ("providers", [1], ["got [1]"]),
        ("provider_options", [], ["dict"]),
        ("provider_options", {"CPUExecutionProvider": 1}, ["CPUExecutionProvider", "got 1"]),
        ("session_config", ["a"], ["dict", "got ['a']"]),
        ("session_config", {"a": None}, ["str", "None"]),
        ("max_pending", 0, ["1 to", "got 0"]),
        ("max_pending", None, ["got None"]),
        ("max_pending_bytes", -1, ["got -1"]),
        ("when_full", "drop", ["'raise' or 'wait'", "got 'drop'"]),
        ("batch_axis", 1, ["'auto', 0 or None", "got 1"]),
        ("batch_axis", False, ["got False"]),
        ("warmup", 1, ["True or False", "got 1"]),
        ("name", 7, ["str", "got 7"]),
        ("model", 7, ["path or bytes", "got 7"]),
    ],
)
def test_an_option_that_does_not_fit(option: str, value: object, words: list[str]) -> None:
    arguments: dict[str, Any] = {"model": MODEL, option: value}
    with pytest.raises(inferkit.InvalidInputError) as caught:
        inferkit.Session(arguments.pop("model"), **arguments)
    for word in [f"{option}", "expected", *words]:
        assert word in str(caught.value)


def test_an_option_that_does_not_exist() -> None:
    with pytest.raises(TypeError, match="max_batch"):
        inferkit.Session(MODEL, max_batch=3)
    with pytest.raises(TypeError):
        inferkit.Session(MODEL, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch_size": np.int64(8), "max_delay": 0, "instances": 1, "threads": 1},
        {"device": "cpu", "name": "other", "warmup": False, "batch_axis": 0},
        {"providers": ["CPUExecutionProvider"], "provider_options": {"CPUExecutionProvider": {}}},
        {"session_config": {"session.intra_op.allow_spinning": False}, "max_pending": 1},
    ],
)
def test_options_that_fit(options: dict[str, Any]) -> None:
    with inferkit.Session(MODEL, **options) as session:
        assert session.run(np.ones((1, 32), np.float32))["y"].shape == (1, 1)


# ---- running --------------------------------------------------------------------------------
def test_a_failing_run_quotes_onnxruntime() -> None:
    with inferkit.Session(onnx_models.equal_widths()) as session:
        feeds = {"left": np.ones((1, 2), np.float32), "right": np.ones((1, 3), np.float32)}
        with pytest.raises(inferkit.BackendError, match=r"broadcast.*2 by 3") as caught:
            session.run(feeds)
        assert caught.value.code == 1  # ORT_FAIL
        feeds["right"] = feeds["left"]
        assert session.run(feeds)["y"].tolist() == [[2, 2]]
        check_balance(session)
        assert (session.stats().failed, session.stats().answered) == (1, 1)


def test_no_memory_for_a_run_is_its_own_error() -> None:
    with inferkit.Session(onnx_models.zeros()) as session:
        with pytest.raises(inferkit.OutOfMemoryError, match="out of memory") as caught:
            session.run(np.array([1 << 42]))  # 16 TiB
        assert isinstance(caught.value, MemoryError)
        assert caught.value.code != 0  # ONNX Runtime's
        assert session.run(np.array([3]))["y"].tolist() == [0, 0, 0]
        check_balance(session)


def test_values_that_only_the_model_can_refuse() -> None:
    with inferkit.Session(onnx_models.gather()) as session:
        with pytest.raises(inferkit.InvalidInputError, match="idx=99"):
            session.run(np.array([99]))
        assert session.run(np.array([3]))["y"].tolist() == [[3, 3, 3, 3]]
        assert session.stats().failed == 1


def test_a_bad_request_spoils_nobody_elses() -> None:
    with inferkit.Session(onnx_models.gather(), instances=1, max_delay=0.05) as session:
        futures = [session.submit(np.array([99 if i == 5 else i])) for i in range(8)]
        for i, future in enumerate(futures):
            if i == 5:
                with pytest.raises(inferkit.InvalidInputError, match="idx=99"):
                    future.result()
            else:
                assert future.result()["y"].tolist() == [[i] * 4]
        check_balance(session)


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.run(np.ones((1, 32), np.float32)),
        lambda session: session.run(np.ones((1, 32), np.float32), when_full="wait", timeout=5),
        lambda session: session.submit(np.ones((1, 32), np.float32)),
    ],
)
def test_a_closed_session_says_so(call: Callable[[inferkit.Session], object]) -> None:
    session = inferkit.Session(MODEL)
    session.close()
    with pytest.raises(inferkit.SessionClosedError, match="closed"):
        call(session)
    assert session.stats().accepted == 0


def test_a_storm_of_errors_is_silent_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = np.array([99])

    async def ask(session: inferkit.Session, count: int) -> None:
        calls = (session.run_async(bad) for _ in range(count))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, inferkit.InvalidInputError) for each in found)

    def storm(session: inferkit.Session, count: int) -> None:
        for _ in range(count):
            with pytest.raises(inferkit.InvalidInputError):
                session.run(bad)
        futures = [session.submit(bad) for _ in range(count)]
        assert all(isinstance(each.exception(), inferkit.InvalidInputError) for each in futures)
        asyncio.run(ask(session, count))

    with caplog.at_level(logging.DEBUG), inferkit.Session(onnx_models.gather()) as session:
        storm(session, 500)  # caches fill
        gc.collect()
        before = len(gc.get_objects())
        storm(session, 1_000)
        gc.collect()
        assert len(gc.get_objects()) - before < 100
        assert session.stats().failed == 3 * 1_500
        check_balance(session)
    assert [each for each in caplog.records if each.name != "asyncio"] == []
    assert capfd.readouterr() == ("", "")
