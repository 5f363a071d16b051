"""Options as the native core gets them: defaults, both ends of each range, texts."""

import inspect
import math
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import inferkit
import numpy as np
import onnx_models
import pytest
from inferkit._core import option_ranges
from inferkit._options import check_model, check_options, default_name

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(inferkit.Session).parameters.items()
    if name != "model"
}


def checked(**given: Any) -> dict[str, Any]:
    return check_options({**DEFAULTS, **given}, "digits")  # type: ignore[typeddict-item]


def refused(**given: Any) -> str:
    with pytest.raises(inferkit.InvalidInputError) as caught:
        checked(**given)
    return str(caught.value)


def test_what_nobody_chose() -> None:
    assert checked() == {
        "device": "cpu",
        "providers": [CPU],
        "provider_options": {},
        "session_config": {},
        "max_batch_size": 0,  # auto
        "max_delay": 0.0,
        "instances": 0,
        "threads": 0,
        "max_pending": 1024,
        "max_pending_bytes": 256 << 20,
        "max_memory_bytes": 0,
        "wait_when_full": False,
        "batch_axis": "auto",
        "warmup": True,
        "name": "digits",
    }


# ---- numbers --------------------------------------------------------------------------------
COUNTS = {
    "max_batch_size": 1_048_576,
    "instances": 32,
    "threads": 1024,
    "max_pending": option_ranges()["max_pending"][1],
    "max_pending_bytes": option_ranges()["max_pending_bytes"][1],
    "max_memory_bytes": option_ranges()["max_memory_bytes"][1],
}


@pytest.mark.parametrize(("name", "most"), COUNTS.items())
def test_counts_go_from_one_to_the_most(name: str, most: int) -> None:
    for fits in (1, 2, most, np.int64(7)):
        found = checked(**{name: fits})[name]
        assert found == fits and type(found) is int
    for wrong in (0, -1, most + 1, 1.0, "1", None, True, False):
        assert f"an int from 1 to {most}, got {wrong!r}" in refused(**{name: wrong})


@pytest.mark.parametrize("name", COUNTS)
def test_auto_is_for_those_that_can_be_measured(name: str) -> None:
    if name.startswith("max_pending"):
        assert refused(**{name: "auto"}).startswith(f"{name}: expected an int from 1 to ")
    else:
        assert checked(**{name: "auto"})[name] == 0
        assert refused(**{name: "Auto"}).startswith(f"{name}: expected 'auto' or an int from 1 ")


def test_delays_go_from_nothing_to_the_longest() -> None:
    longest = option_ranges()["max_delay"][1] / 1e9
    for fits in (0, 0.0, 1e-9, 0.5, 1, longest, Fraction(1, 4), np.float32(0.5)):
        found = checked(max_delay=fits)["max_delay"]
        assert found == fits and type(found) is float
    for wrong in (-1e-9, -1, math.nextafter(longest, math.inf), math.inf, math.nan, 10**400):
        assert refused(max_delay=wrong).startswith(
            f"max_delay: expected seconds from 0 to {longest:g}, got "
        )
    for wrong in ("1", None, True, 1j):
        expected = f"max_delay: expected seconds, 0 or more, got {wrong!r}"
        assert refused(max_delay=wrong) == expected


# ---- words ----------------------------------------------------------------------------------
def test_choices() -> None:
    assert checked(when_full="wait")["wait_when_full"] is True
    assert checked(warmup=False)["warmup"] is False
    for wrong in ("", "Wait", None, True, ["wait"]):
        assert "expected 'raise' or 'wait'" in refused(when_full=wrong)
    for wrong in (0, "True", None):
        assert "expected True or False" in refused(warmup=wrong)
    axes = {None: "none", "auto": "auto", 0: "first"}
    assert {axis: checked(batch_axis=axis)["batch_axis"] for axis in axes} == axes
    for wrong in (1, -1, 0.0, False, "0", "none"):
        assert "expected 'auto', 0 or None" in refused(batch_axis=wrong)


def test_names() -> None:
    for fits in ("d", "", "\x7f", "\ud7ff\ue000", "☃"):
        assert checked(name=fits)["name"] == fits
    for wrong in ("a\0", "\ud800", "\udfff", "a\udc80b", b"d", 7):
        assert "name: expected a str or None" in refused(name=wrong)


# ---- models ---------------------------------------------------------------------------------
def test_models_are_paths_or_bytes(tmp_path: Path) -> None:
    content = onnx_models.mlp_a()
    for given in (content, bytearray(content), memoryview(content)):
        found = check_model(given)  # type: ignore[arg-type]
        assert found == {"path": b"", "content": content, "model": f"<{len(content)} bytes>"}
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    for shown in (path, str(path), os.fsencode(path).decode()):
        found = check_model(shown)
        assert found == {"path": os.fsencode(path), "content": b"", "model": str(path)}
    with pytest.raises(inferkit.ModelLoadError, match="no such file"):
        check_model(str(tmp_path / "b.onnx"))
    with pytest.raises(inferkit.ModelLoadError, match="expected a file"):
        check_model(tmp_path)


def test_a_session_without_a_name_is_called_after_its_file() -> None:
    assert default_name("<7 bytes>", b"") == "model"
    assert default_name("/models/digits.v2.onnx", b"/models/digits.v2.onnx") == "digits.v2"
    assert default_name("/models/\udcff.onnx", b"/models/\xff.onnx") == "?"


# ---- devices and providers ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "device", "providers", "options"),
    [
        ({"device": "cpu"}, "cpu", [CPU], {}),
        ({"device": "cuda"}, "cuda:0", [CUDA, CPU], {CUDA: {"device_id": "0"}}),
        ({"device": "cuda:13"}, "cuda:13", [CUDA, CPU], {CUDA: {"device_id": "13"}}),
        (
            {"device": "cuda:1", "provider_options": {CUDA: {"a": 1}, CPU: {"b": True}}},
            "cuda:1",
            [CUDA, CPU],
            {CUDA: {"device_id": "1", "a": "1"}, CPU: {"b": "1"}},
        ),
        ({"provider_options": {CPU: {}}}, "cpu", [CPU], {CPU: {}}),
        ({"provider_options": {CPU: None}}, "cpu", [CPU], {CPU: {}}),
        ({"providers": ("OpenVINOExecutionProvider", CPU)}, "openvino", [..., CPU], {}),
        ({"providers": [CUDA], "provider_options": {CUDA: {}}}, "cuda", [CUDA], {CUDA: {}}),
    ],
)
def test_devices_become_providers(
    given: dict[str, Any], device: str, providers: list[str], options: dict[str, Any]
) -> None:
    found = checked(**given)
    assert found["device"] == device
    expected = [given["providers"][0] if each is ... else each for each in providers]
    assert found["providers"] == expected and type(found["providers"]) is list
    assert found["provider_options"] == options


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"device": "cuda:"}, "device: expected 'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ({"device": "CPU"}, "device: expected 'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ({"device": 0}, "device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', got 0"),
        ({"device": "cpu", "providers": [CPU]}, "device: expected 'auto' where providers"),
        ({"providers": CPU}, "providers: expected a list"),
        ({"providers": ""}, "providers: expected a list"),
        ({"providers": ()}, "providers: expected a list"),
        ({"providers": {CPU}}, "providers: expected a list"),
        ({"providers": 7}, "providers: expected a list"),
        ({"providers": [CPU, None]}, "providers: expected a list"),
        ({"provider_options": [CPU]}, "provider_options: expected a dict: provider"),
        ({"provider_options": {"a\0": {}}}, "provider_options: expected names of providers"),
        ({"provider_options": {CPU: 1}}, f"provider_options['{CPU}']: expected a dict"),
    ],
)
def test_devices_and_providers_that_do_not_fit(given: dict[str, Any], says: str) -> None:
    assert refused(**given).startswith(says)


# ---- what ONNX Runtime reads ----------------------------------------------------------------
def test_values_become_texts() -> None:
    given = {"a": True, "b": False, "c": 2, "d": 0.5, "e": "f", "g": -1}
    texts = {"a": "1", "b": "0", "c": "2", "d": "0.5", "e": "f", "g": "-1"}
    assert checked(session_config=given)["session_config"] == texts
    assert checked(session_config={})["session_config"] == {}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({1: "a"}, "str keys without NUL"),
        ({"a\ud800": "a"}, "str keys without NUL"),
        ({"a": b"b"}, "str keys without NUL"),
        ({"a": "b\0"}, "values without NUL and lone surrogates"),
        ({"a": 10**5000}, "values of a few digits"),
        ([("a", "b")], "a dict of options"),
    ],
)
def test_entries_that_are_no_texts(entries: object, says: str) -> None:
    assert refused(session_config=entries).startswith(f"session_config: expected {says}")
