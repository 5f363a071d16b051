"""``inferkit doctor``: limits read from made-up machines, findings on this one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from inferkit.cli import _devices, _limits, doctor, main
from inferkit.cli._findings import Finding, guarded


def tree(root: Path, **contents: str) -> Path:
    """Write files; a ``__`` in a name stands for a slash, and ``_`` stays."""
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


# ---- limits -----------------------------------------------------------------------------------
def test_version_2_limits_bind_from_every_level(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__self__cgroup="0::/outer/inner\n")
    for group, cpu, memory, pids in (
        ("", "max 100000", "max", "max"),
        ("outer", "150000 100000", "1073741824", "500"),
        ("outer/inner", "400000 100000", "2147483648", "max"),
    ):
        folder = root / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("cpu.max", cpu), ("memory.max", memory), ("pids.max", pids)):
            (folder / name).write_text(f"{text}\n")
    assert _limits.cpu_quota(root) == 1.5
    assert _limits.memory_limit(root) == 1 << 30
    assert _limits.process_limit(root) == 500


def test_version_1_limits_and_its_unlimited_numbers(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__self__cgroup="4:memory:/box\n3:cpu,cpuacct:/box\n2:pids:/\n0::/\n",
        sys__fs__cgroup__memory__box__dummy="",
    )
    groups = root / "sys/fs/cgroup"
    (groups / "memory/box/memory.limit_in_bytes").write_text("536870912\n")
    (groups / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (groups / "cpu,cpuacct/box").mkdir(parents=True)
    (groups / "cpu,cpuacct/box/cpu.cfs_quota_us").write_text("50000\n")
    (groups / "cpu,cpuacct/box/cpu.cfs_period_us").write_text("100000\n")
    (groups / "cpu,cpuacct/cpu.cfs_quota_us").write_text("-1\n")
    (groups / "cpu,cpuacct/cpu.cfs_period_us").write_text("100000\n")
    assert _limits.memory_limit(root) == 512 << 20
    assert _limits.cpu_quota(root) == 0.5
    assert _limits.process_limit(root) is None
    cores = next(_limits.findings(root))
    assert (cores.topic, cores.status) == ("cores", "warn")


def test_no_cgroups_no_limits(tmp_path: Path) -> None:
    assert _limits.cpu_quota(tmp_path) is None
    assert _limits.memory_limit(tmp_path) is None
    assert _limits.process_limit(tmp_path) is None


def test_few_threads_and_little_memory_are_warned_of(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__self__cgroup="0::/\n",
        proc__meminfo="MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nHugePages_Total: 0\n",
    )
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/pids.max").write_text("64\n")
    (root / "sys/fs/cgroup/memory.max").write_text(f"{100 << 20}\n")
    found = {finding.topic: finding for finding in _limits.findings(root)}
    assert found["threads"].status == "warn"
    assert "64 by cgroup" in found["threads"].text
    assert found["memory"].status == "warn"
    assert "8.0 GiB available of 16.0 GiB" in found["memory"].text


def test_a_check_that_breaks_is_a_finding(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__self__cgroup="nonsense\n")
    (finding,) = guarded("limits", lambda: _limits.findings(root))
    assert finding.status == "warn"
    assert "could not be looked at: ValueError" in finding.text


# ---- devices ----------------------------------------------------------------------------------
def test_needed_cuda_libraries_are_read_from_the_provider(tmp_path: Path) -> None:
    assert list(_devices.needed_libraries(tmp_path)) == []
    names = b"\0libcublasLt.so.13\0libcudart.so.13\0libcudnn.so.9\0libm.so.6\0not-libcudart.so.1\0"
    (tmp_path / "libonnxruntime_providers_cuda.so").write_bytes(b"\x7fELF" + names)
    found = list(_devices.needed_libraries(tmp_path))
    assert found == ["libcublasLt.so.13", "libcudart.so.13", "libcudnn.so.9"]


CUDA = "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("gpus", "providers", "status", "says"),
    [
        (([], "no NVIDIA driver"), [], "ok", "none: no NVIDIA driver"),
        (([], "no NVIDIA driver"), [CUDA], "warn", f"{CUDA} is in this runtime, but no NVIDIA"),
        ((["A GPU"], ""), [], "warn", f"A GPU is here, but this runtime has no {CUDA}"),
        ((["A GPU"], ""), [CUDA], "ok", f"A GPU; the runtime has {CUDA}"),
    ],
)
def test_cuda_is_offered_or_explained(
    gpus: tuple[list[str], str],
    providers: list[str],
    status: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_devices, "nvidia_gpus", lambda: gpus)
    found = list(_devices.findings(providers, tmp_path / "libonnxruntime.so"))
    (cuda,) = (finding for finding in found if finding.topic == "device cuda")
    assert cuda.status == status
    assert says in cuda.text
    assert (cuda.fix is not None) == bool(gpus[0] and not providers)


def test_a_gpu_without_its_libraries_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_devices, "nvidia_gpus", lambda: (["A GPU"], ""))
    provider = tmp_path / "libonnxruntime_providers_cuda.so"
    provider.write_bytes(b"\0libcudnn.so.98765\0")
    (_, cuda) = _devices.findings([CUDA], tmp_path / "libonnxruntime.so")
    assert cuda.status == "warn"
    assert "libcudnn.so.98765" in cuda.text


class Driver:
    """libcuda as `_devices` calls it; ctypes hands it its pointers."""

    def __init__(self, starts: int, names: list[bytes]) -> None:
        self.names = names
        self.cuInit = lambda flags: starts if flags == 0 else 1  # it knows no flags

    def cuDeviceGetCount(self, count) -> int:  # type: ignore[no-untyped-def]
        count._obj.value = len(self.names)
        return 0

    def cuDeviceGetName(self, name, size: int, index: int) -> int:  # type: ignore[no-untyped-def]
        name.value = self.names[index][: size - 1]
        return 0


@pytest.mark.parametrize(
    ("driver", "gpus", "why_not"),
    [
        (Driver(0, [b"First GPU", b"Second GPU"]), ["First GPU", "Second GPU"], ""),
        (Driver(0, []), [], "offers no GPU"),
        (Driver(100, [b"never asked"]), [], "cuInit returned 100"),
        (None, [], "libcuda.so.1 is not to be found"),
    ],
)
def test_the_driver_is_asked_for_its_gpus(
    driver: Driver | None, gpus: list[str], why_not: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> Driver:
        assert name == "libcuda.so.1"
        if driver is None:
            raise OSError("no such file")
        return driver

    monkeypatch.setattr(_devices.ctypes, "CDLL", load)
    found, reason = _devices.nvidia_gpus()
    assert found == gpus
    assert why_not in reason


# ---- the command ------------------------------------------------------------------------------
def test_this_machine_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    topics = {finding["topic"] for finding in document["findings"]}
    assert topics >= {"python", "numpy", "inferkit", "onnxruntime", "device cpu", "cores", "trial"}
    assert all(finding["status"] != "fail" for finding in document["findings"])


def test_without_a_runtime_it_says_so_and_fails() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from inferkit.cli import main; sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ""
    failed = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert len(failed) == 1
    assert failed[0].split()[1] == "onnxruntime"
    assert "inferkit[cpu]" in done.stdout


@pytest.mark.parametrize(
    ("value", "status"), [(None, "ok"), ("1", "ok"), ("true", "ok"), ("0", "warn"), ("", "warn")]
)
def test_telemetry_that_is_on_is_told(
    value: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(doctor.TELEMETRY, raising=False)
    if value is not None:
        monkeypatch.setenv(doctor.TELEMETRY, value)
    (finding,) = doctor._telemetry()
    assert finding.status == status


def test_variables_of_inferkit_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERKIT_SOMETHING", "7")
    assert "INFERKIT_SOMETHING=7" in [finding.text for finding in doctor._environment()]


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        ("onnxruntime", True),
        ("onnxruntime-gpu", True),
        ("onnxruntime-ep-openvino", False),
        ("onnxruntime-extensions", False),
        ("onnx", False),
        ("rapidocr-onnxruntime", False),
    ],
)
def test_only_wheels_with_a_runtime_count(name: str, brings: bool) -> None:
    assert doctor._brings_runtime(name) is brings


def test_two_runtimes_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wheel:
        version = "1.0"

        def __init__(self, name: str) -> None:
            self.metadata = {"Name": name}

    names = ("onnxruntime", "numpy", "onnxruntime-gpu")
    monkeypatch.setattr(doctor, "distributions", lambda: map(Wheel, names))
    (finding,) = doctor._wheels()
    assert finding.status == "warn"
    assert "onnxruntime 1.0, onnxruntime-gpu 1.0" in finding.text


def test_text_lines_up_and_shows_fixes() -> None:
    found = [Finding("a", "ok", "fine"), Finding("longer", "fail", "broken", "mend it")]
    assert list(doctor.text(found)) == [
        "ok    a       fine",
        "fail  longer  broken",
        "              fix: mend it",
    ]
