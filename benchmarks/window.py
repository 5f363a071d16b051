"""One measured stretch of time, and what it cost."""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Window:
    """What callers saw while one system served them."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    cpu_us: float
    """CPU of this process, all threads, user and system, per request."""
    foreign: float
    """Share of the machine's cores that something else used meanwhile, 0 to 1."""
    least_share: float | None = None
    """Answers of the caller that got fewest, in times of the mean; None: not counted apart."""

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """For JSON, throughput included."""
        return {"per_second": self.per_second} | asdict(self)


class Stopwatch:
    """Wall, own CPU and the machine's CPU between ``__init__`` and ``window``."""

    def __init__(self) -> None:
        """Starts."""
        self._machine = _machine_busy_s()
        self._own = time.process_time()
        self._wall = time.perf_counter()

    def window(
        self, latencies_ns: list[int], rows_each: int = 1, least_share: float | None = None
    ) -> Window:
        """Stops; one latency per answered call of ``rows_each`` requests."""
        requests = len(latencies_ns) * rows_each
        seconds = time.perf_counter() - self._wall
        own = time.process_time() - self._own
        busy = _machine_busy_s() - self._machine
        latencies_us = np.asarray(latencies_ns, dtype=np.int64) / 1e3
        p50, p99, p999 = map(float, np.percentile(latencies_us, (50, 99, 99.9)))
        return Window(
            requests=requests,
            seconds=seconds,
            p50_us=p50,
            p99_us=p99,
            p999_us=p999,
            cpu_us=own / requests * 1e6,
            foreign=max(0.0, busy - own) / (seconds * (os.cpu_count() or 1)),
            least_share=least_share,
        )


def settle(longest_s: float = 0.5) -> None:
    """Waits until this process is idle.

    The threads of an onnxruntime pool go on spinning for some 50 ms after their last run and
    would take a core from whatever is measured next.
    """
    give_up = time.perf_counter() + longest_s
    while time.perf_counter() < give_up:
        wall, own = time.perf_counter(), time.process_time()
        time.sleep(0.005)
        if time.process_time() - own < 0.05 * (time.perf_counter() - wall):
            return


def _machine_busy_s() -> float:
    """Seconds of CPU that all processes (and the hypervisor's other guests) took since boot."""
    try:
        with Path("/proc/stat").open() as stat:
            user, nice, system, _idle, _wait, irq, soft, steal = map(
                int, stat.readline().split()[1:9]
            )
    except OSError:
        return 0.0
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
