"""Limits at their edges: where ``inferkit doctor`` begins to warn, and machines that say little."""

import os
from pathlib import Path

import pytest
from inferkit.cli import _limits
from inferkit.cli._findings import Finding

resource = pytest.importorskip("resource")


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limits but those of the cgroups."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)


def machine(root: Path, group: str = "0::/\n", **files: str) -> Path:
    """A root whose process is in `group`; files of its cgroup by name, a ``_`` for the dot."""
    for name, text in {"proc/self/cgroup": group, "proc/meminfo": files.pop("meminfo", "")}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    folder = root / "sys/fs/cgroup"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")
    return root


def finding(root: Path, topic: str) -> Finding:
    (found,) = (each for each in _limits.findings(root) if each.topic == topic)
    return found


# ---- where warnings begin -------------------------------------------------------------------
@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    ("topic", "file", "value", "status"),
    [
        ("threads", "pids_max", "127", "warn"),
        ("threads", "pids_max", "128", "ok"),
        ("memory", "memory_max", f"{(512 << 20) - 1}", "warn"),
        ("memory", "memory_max", f"{512 << 20}", "ok"),
        ("cores", "cpu_max", "99999 100000", "warn"),
        ("cores", "cpu_max", "100000 100000", "ok"),
    ],
)
def test_a_warning_begins_below_the_bound(
    topic: str, file: str, value: str, status: str, tmp_path: Path
) -> None:
    assert finding(machine(tmp_path, **{file: value}), topic).status == status


@pytest.mark.usefixtures("unlimited")
def test_too_little_free_memory_is_warned_of_whatever_the_limit(tmp_path: Path) -> None:
    meminfo = "MemTotal: 16777216 kB\nMemAvailable: 102400 kB\n"
    found = finding(machine(tmp_path, meminfo=meminfo, memory_max=f"{8 << 30}"), "memory")
    assert found.status == "warn"
    assert found.text == "0.1 GiB available of 16.0 GiB, cgroup limit 8.0 GiB"


@pytest.mark.usefixtures("unlimited")
def test_what_nobody_tells_is_not_warned_of(tmp_path: Path) -> None:
    said = {each.topic: (each.status, each.text) for each in _limits.findings(machine(tmp_path))}
    nothing = "an unknown amount available of an unknown amount, no cgroup limit"
    assert said["memory"] == ("ok", nothing)
    assert said["threads"] == ("ok", "no limit")
    assert said["cores"][0] == "ok" and said["cores"][1].endswith(", no CPU quota")
    assert set(said) == {"cores", "memory", "threads"}


@pytest.mark.parametrize(
    ("cgroup", "user", "status", "says"),
    [
        ("5000", 100, "warn", "at most 5,000 by cgroup, 100 by ulimit -u: "),
        ("100", 5000, "warn", "at most 100 by cgroup, 5,000 by ulimit -u: "),
        ("5000", 4000, "ok", "at most 5,000 by cgroup, 4,000 by ulimit -u"),
        ("max", 4000, "ok", "at most 4,000 by ulimit -u"),
    ],
)
def test_the_lowest_limit_of_threads_counts(
    cgroup: str,
    user: int,
    status: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def limits(which: int) -> tuple[int, int]:
        soft = user if which == resource.RLIMIT_NPROC else resource.RLIM_INFINITY
        return soft, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", limits)
    found = finding(machine(tmp_path, pids_max=cgroup), "threads")
    assert found.status == status
    assert found.text.startswith(says)
    assert (found.fix is None) == (status == "ok")


def test_a_limited_address_space_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limits(which: int) -> tuple[int, int]:
        soft = 3 << 30 if which == resource.RLIMIT_AS else resource.RLIM_INFINITY
        return soft, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", limits)
    found = finding(machine(tmp_path), "address space")
    assert (found.status, found.fix) == ("warn", "ulimit -v unlimited")
    assert found.text.startswith("limited to 3.0 GiB")


# ---- what the files say ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "limit"),
    [
        (f"{1 << 60}", None),
        (f"{(1 << 60) - 1}", (1 << 60) - 1),
        ("9223372036854771712", None),
        ("max", None),
        ("", None),
        ("4096", 4096),
    ],
)
def test_version_1_writes_a_huge_number_for_none(
    written: str, limit: int | None, tmp_path: Path
) -> None:
    assert _limits.memory_limit(machine(tmp_path, memory_max=written)) == limit


@pytest.mark.parametrize(
    ("written", "quota"),
    [("max 100000", None), ("250000", None), ("1 2 3", None), ("", None), ("1 100000", 1e-5)],
)
def test_the_quota_of_version_2_is_two_numbers(
    written: str, quota: float | None, tmp_path: Path
) -> None:
    assert _limits.cpu_quota(machine(tmp_path, cpu_max=written)) == quota


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("-1", "100000", None),
        ("0", "100000", None),
        ("1", "100000", 1e-5),
        ("50000", "0", None),
        ("50000", "", None),
        ("", "100000", None),
    ],
)
def test_the_quota_of_version_1_needs_both_of_its_files(
    quota: str, period: str, cores: float | None, tmp_path: Path
) -> None:
    root = machine(tmp_path, group="3:cpu:/\n")
    folder = root / "sys/fs/cgroup/cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text(period)
    assert _limits.cpu_quota(root) == cores


def test_a_group_whose_name_has_colons(tmp_path: Path) -> None:
    root = machine(tmp_path, group="0::/kubepods:burstable:pod\n", pids_max="9")
    folder = root / "sys/fs/cgroup/kubepods:burstable:pod"
    folder.mkdir()
    (folder / "pids.max").write_text("7\n")
    assert _limits.process_limit(root) == 7


def test_nothing_above_the_mount_is_a_limit(tmp_path: Path) -> None:
    root = machine(tmp_path, pids_max="9")
    (root / "sys/fs/pids.max").write_text("1\n")
    assert _limits.process_limit(root) == 9


# ---- cores ----------------------------------------------------------------------------------
def test_cores_where_the_machine_tells_no_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0: {3, 5, 7}}[process])
    assert _limits.affinity() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert _limits.affinity() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert _limits.affinity() == 1
    text = finding(machine(tmp_path), "cores").text
    assert text == "1 on the machine, 1 by affinity, no CPU quota"
