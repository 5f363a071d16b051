"""What this process may use: cores, memory, threads; by affinity, cgroups and resource limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ._findings import Finding

UNLIMITED = 1 << 60  # version 1 writes its largest page-aligned number instead of "max"
FEW_PROCESSES = 128
LITTLE_MEMORY = 512 << 20


def findings(root: Path = Path("/")) -> Iterator[Finding]:
    """Yield cores, memory and threads; ``root`` holds the ``proc`` and ``sys`` to read."""
    yield _cores(root)
    yield from _memory(root)
    yield _threads(root)


def affinity() -> int:
    """Return how many cores the process's affinity mask allows."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the cores that the cgroups of the process allow, None without a quota."""
    quotas = [*_limits(root, "", _quota_v2), *_limits(root, "cpu", _quota_v1)]
    return min(quotas, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the bytes that the cgroups of the process allow, None without a limit."""
    found = [
        *_limits(root, "", lambda group: _number(group / "memory.max")),
        *_limits(root, "memory", lambda group: _number(group / "memory.limit_in_bytes")),
    ]
    return min((int(value) for value in found), default=None)


def process_limit(root: Path = Path("/")) -> int | None:
    """Return the threads that the cgroups of the process allow, None without a limit."""
    found = [
        *_limits(root, "", lambda group: _number(group / "pids.max")),
        *_limits(root, "pids", lambda group: _number(group / "pids.max")),
    ]
    return min((int(value) for value in found), default=None)


def _limits(root: Path, controller: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    """Yield the limits of the process's group and of every group above it: all of them bind.

    Lines of /proc/self/cgroup are ``id:controllers:/path``; version 2 has no controllers.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        for mount in _mounts(root, controllers):
            group = mount / path.strip("/")
            for above in (group, *group.parents):
                limit = read(above)
                if limit is not None:
                    yield limit
                if above == mount:
                    break


def _mounts(root: Path, controllers: str) -> list[Path]:
    base = root / "sys/fs/cgroup"
    return [base / controllers] if controllers else [base, base / "unified"]


def _quota_v2(group: Path) -> float | None:
    words = _text(group / "cpu.max").split()
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _quota_v1(group: Path) -> float | None:
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    if not text or text == "max" or int(text) >= UNLIMITED:
        return None
    return int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _cores(root: Path) -> Finding:
    machine, allowed, quota = os.cpu_count() or 1, affinity(), cpu_quota(root)
    text = f"{machine} on the machine, {allowed} by affinity, "
    text += "no CPU quota" if quota is None else f"{quota:g} by CPU quota"
    if quota is not None and quota < 1:
        return Finding(
            "cores",
            "warn",
            text + ": the process is stopped for part of each period, which shows as latency",
            "give the container at least one whole core",
        )
    return Finding("cores", "ok", text)


def _memory(root: Path) -> Iterator[Finding]:
    limit = memory_limit(root)
    lines = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    sizes = {words[0]: int(words[1]) << 10 for words in lines if len(words) == 3}
    total, free = sizes.get("MemTotal:"), sizes.get("MemAvailable:")
    text = f"{_bytes(free)} available of {_bytes(total)}, "
    text += "no cgroup limit" if limit is None else f"cgroup limit {_bytes(limit)}"
    least = min((size for size in (free, limit) if size is not None), default=None)
    if least is not None and least < LITTLE_MEMORY:
        yield Finding("memory", "warn", text, "free some, or raise the container's limit")
    else:
        yield Finding("memory", "ok", text)
    if sys.platform != "win32":
        import resource

        space = resource.getrlimit(resource.RLIMIT_AS)[0]
        if space != resource.RLIM_INFINITY:
            yield Finding(
                "address space",
                "warn",
                f"limited to {_bytes(space)}: models and thread stacks reserve more than they use",
                "ulimit -v unlimited",
            )


def _threads(root: Path) -> Finding:
    limits = {"cgroup": process_limit(root)}
    if sys.platform != "win32":
        import resource

        processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        limits["ulimit -u"] = None if processes == resource.RLIM_INFINITY else processes
    named = [f"{limit:,} by {name}" for name, limit in limits.items() if limit is not None]
    least = min((limit for limit in limits.values() if limit is not None), default=None)
    text = f"at most {', '.join(named)}" if named else "no limit"
    if least is not None and least < FEW_PROCESSES:
        fix = "raise the limit (pids limit of the container, ulimit -u)"
        return Finding("threads", "warn", f"{text}: sessions may fail to start theirs", fix)
    return Finding("threads", "ok", text)


def _bytes(size: int | None) -> str:
    return "an unknown amount" if size is None else f"{size / (1 << 30):.1f} GiB"
