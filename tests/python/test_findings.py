"""What ``inferkit doctor`` finds on machines that are otherwise than this one."""

import itertools
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import inferkit
import pytest
from inferkit.cli import _devices, doctor, main
from inferkit.cli._findings import Finding

CUDA = "CUDAExecutionProvider"


# ---- the command ------------------------------------------------------------------------------
@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_only_a_failure_fails(
    status: Any,
    code: int,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [Finding("a", "ok", "fine"), Finding("b", status, "so so", "mend it")]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert main(["doctor", *(["--json"] if as_json else [])]) == code
    said = capsys.readouterr().out
    if not as_json:
        assert said.splitlines() == list(doctor.text(found))
        return
    assert said == json.dumps(json.loads(said), indent=2) + "\n"
    assert json.loads(said) == {
        "ok": code == 0,
        "findings": [
            {"topic": "a", "status": "ok", "text": "fine", "fix": None},
            {"topic": "b", "status": status, "text": "so so", "fix": "mend it"},
        ],
    }


def test_no_check_keeps_another_from_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(doctor, "_python", broken)
    found = doctor.examine()
    assert (found[0].topic, found[0].status) == ("python", "warn")
    assert found[0].text == "could not be looked at: ZeroDivisionError: odd"
    assert {"inferkit", "telemetry", "trial"} <= {finding.topic for finding in found}


@pytest.mark.parametrize("gil", [True, False])
def test_an_interpreter_without_the_gil_is_warned_of(
    gil: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: gil, raising=False)
    python, numpy = doctor._python()
    assert python.status == ("ok" if gil else "warn")
    assert ("without the GIL" in python.text) is not gil
    assert python.fix == (None if gil else "run python with -X gil=1")
    assert numpy.topic == "numpy"


def test_an_interpreter_that_knows_no_other_way_has_the_gil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert next(doctor._python()).status == "ok"


class Wheel:
    """An installed wheel, as far as its name is readable."""

    version = "1.0"

    def __init__(self, name: str | None) -> None:
        self.metadata = {"Name": name}


@pytest.mark.parametrize(
    ("names", "status", "text", "fix"),
    [
        ([None, "numpy", "onnxruntime"], "ok", "onnxruntime 1.0", None),
        (
            ["onnxruntime-gpu", None, "OnnxRuntime"],
            "warn",
            "onnxruntime 1.0, onnxruntime-gpu 1.0 install into one folder and overwrite each other",
            "pip uninstall onnxruntime onnxruntime-gpu, then install one",
        ),
    ],
)
def test_wheels_are_told_by_name(
    names: list[str | None],
    status: str,
    text: str,
    fix: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "distributions", lambda: map(Wheel, names))
    assert list(doctor._wheels()) == [Finding("wheels", status, text, fix)]  # type: ignore[arg-type]


def test_no_wheel_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "distributions", lambda: map(Wheel, ["numpy", None]))
    assert list(doctor._wheels()) == []


def test_variables_are_listed_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in doctor.os.environ if name.startswith("INFERKIT_")]:
        monkeypatch.delenv(name)
    assert [finding.text for finding in doctor._environment()] == ["no INFERKIT_* variable is set"]
    monkeypatch.setenv("INFERKIT_Z", "1")
    monkeypatch.setenv("INFERKIT_A", "2")
    assert [finding.text for finding in doctor._environment()] == ["INFERKIT_A=2", "INFERKIT_Z=1"]


def test_the_trial_tells_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.accumulate([10.0, 2.0, 3.0])
    monkeypatch.setattr(doctor, "perf_counter", lambda: next(clock))
    (finding,) = doctor._trial()
    assert finding.status == "ok"
    assert finding.text == "a small model opened in 2000 ms and answered 1 row in 3000.00 ms"


def test_a_trial_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: object) -> None:
        raise inferkit.ModelLoadError("no good")

    monkeypatch.setattr(inferkit, "Session", refuse)
    (finding,) = doctor._trial()
    assert (finding.status, finding.text) == ("fail", "ModelLoadError: no good")
    assert finding.fix == doctor.INSTALL


# ---- devices ----------------------------------------------------------------------------------
def test_every_device_that_the_runtime_lists_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_devices, "nvidia_gpus", lambda: ([], "no NVIDIA driver"))
    providers = ["OpenVINOExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    found = list(_devices.findings(providers, tmp_path / "libonnxruntime.so"))
    assert [finding.topic for finding in found] == ["device cpu", "device cuda", "device openvino"]
    assert "OpenVINOExecutionProvider is in this runtime" in found[2].text


def test_a_provider_library_without_content_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "libonnxruntime_providers_cuda.so").touch()
    assert list(_devices.needed_libraries(tmp_path)) == []


@pytest.mark.parametrize("installed", [True, False])
def test_a_library_of_nvidias_wheels_is_no_missing_one(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "libcudnn.so.98765"
    (tmp_path / "libonnxruntime_providers_cuda.so").write_bytes(f"\0{name}\0".encode())
    wheels = tmp_path / "nvidia"
    (wheels / "cudnn" / "lib").mkdir(parents=True)
    (wheels / "cudnn" / "lib" / name).touch()
    spec = ModuleSpec("nvidia", None)
    spec.submodule_search_locations = [str(tmp_path / "another"), str(wheels)]
    monkeypatch.setattr(_devices, "find_spec", lambda name: spec if installed else None)
    monkeypatch.setattr(_devices, "nvidia_gpus", lambda: (["A GPU", "Another"], ""))
    (_, cuda) = _devices.findings([CUDA], tmp_path / "libonnxruntime.so")
    if installed:
        assert (cuda.status, cuda.text) == ("ok", f"A GPU, Another; the runtime has {CUDA}")
    else:
        assert cuda.status == "warn"
        assert cuda.text.startswith(f"A GPU, Another is here, but the runtime needs {name}")


def test_a_library_that_the_loader_finds_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libonnxruntime_providers_cuda.so").write_bytes(b"\0libcudart.so.13\0")
    monkeypatch.setattr(_devices, "nvidia_gpus", lambda: (["A GPU"], ""))
    monkeypatch.setattr(_devices.ctypes, "CDLL", lambda name: name)
    monkeypatch.setattr(_devices, "find_spec", lambda name: None)
    (_, cuda) = _devices.findings([CUDA], tmp_path / "libonnxruntime.so")
    assert cuda.status == "ok"
