"""``python -m benchmarks.builds before=DIR after=DIR``: builds of inferkit against each other.

DIR holds a build: ``pip install --no-deps --target DIR <wheel>``. It must come before every other
inferkit, an editable install included.

Every process has its own luck: where its memory lies, what its warm-up measured. So every epoch
starts one process per build, and one for each peer; they take turns for some short
windows, only one of them busy at a time. An epoch's ratio is that of the geometric means of its
windows.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import callers, machine, models
from benchmarks.peers.direct import Direct
from benchmarks.peers.greedy_threads import GreedyThreads
from benchmarks.peers.greedy_worker import GreedyWorker
from benchmarks.peers.greedy_worker_gathered import GreedyWorkerGathered
from benchmarks.peers.peer import Peer, Row
from benchmarks.record import Record
from benchmarks.window import Window, settle

PEERS: dict[str, dict[str, Callable[[str, int], Peer]]] = {
    "asyncio": {
        "greedy worker": GreedyWorker,
        "greedy worker (gathered)": GreedyWorkerGathered,
    },
    "threads": {"onnxruntime": Direct, "greedy threads": GreedyThreads},
}
READY = "ready"
Drive = Callable[[Peer, Sequence[Row], int, float], Window]
DRIVES: dict[str, Drive] = {"asyncio": callers.from_asyncio, "threads": callers.from_threads}


def main() -> None:
    """Parses the command line; measures, or is one of the processes measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__)
    parser.add_argument("builds", nargs="*", metavar="NAME=DIR")
    parser.add_argument("--model", default="b", choices=models.MODELS)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--kind", default="asyncio", choices=DRIVES)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9, help="windows per epoch and process")
    parser.add_argument("--window", type=float, default=0.15, help="seconds each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments)
    elif not _are_distinct(arguments.builds):
        parser.error("name at least one build, as NAME=DIR, each by its own name")
    else:
        print(f"  -> {_compare(arguments).write(arguments.out)}")


def _are_distinct(builds: list[str]) -> bool:
    names = [build.partition("=")[0] for build in builds]
    taken = {peer for peers in PEERS.values() for peer in peers}
    return 0 < len(names) == len(set(names) - taken) and all("=" in build for build in builds)


def _serve(arguments: argparse.Namespace) -> None:
    """A window for each line that comes in."""
    with models.built(arguments.model) as model:
        peer = _peer(arguments.serve, model.path, arguments.kind)
        print(READY, flush=True)
        for _ in sys.stdin:
            drive = DRIVES[arguments.kind]
            window = drive(peer, model.rows, arguments.callers, arguments.window)
            settle()  # before another process is asked
            print(json.dumps(window.as_dict()), flush=True)
        peer.close()


def _peer(name: str, path: str, kind: str) -> Peer:
    if name in PEERS[kind]:
        return PEERS[kind][name](path, 1 if name == "onnxruntime" else machine.cores())
    import inferkit

    from benchmarks.peers.ours import OursAsyncio, OursThreads  # of the build under test

    folder = Path(os.environ["PYTHONPATH"]).resolve()
    if folder not in Path(inferkit.__file__).resolve().parents:
        raise RuntimeError(f"imported {inferkit.__file__}, which does not lie in {folder}")
    return (OursAsyncio if kind == "asyncio" else OursThreads)(path)


class _Process:
    """A system in a process of its own, which works only while it is asked for a window."""

    def __init__(self, name: str, folder: str | None, arguments: argparse.Namespace) -> None:
        self.name = name
        options = ("model", "callers", "kind", "window")
        command = [sys.executable, "-m", "benchmarks.builds"]
        command += ["--serve", name if folder is None else "inferkit"]
        command += [f"--{option}={getattr(arguments, option)}" for option in options]
        environment = dict(os.environ) if folder is None else os.environ | {"PYTHONPATH": folder}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if self._read() != READY:
            raise RuntimeError(f"{name} did not start")

    def window(self) -> dict[str, Any]:
        assert self._child.stdin
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return dict(json.loads(self._read()))

    def end(self) -> None:
        self._child.communicate()

    def _read(self) -> str:
        assert self._child.stdout
        return self._child.stdout.readline().strip()


def _compare(arguments: argparse.Namespace) -> Record:
    builds: dict[str, str | None] = dict(build.split("=", 1) for build in arguments.builds)
    builds |= dict.fromkeys(PEERS[arguments.kind])
    setting = {"model": arguments.model, "callers": arguments.callers, "kind": arguments.kind}
    hashes = {name: _hash_of(folder) for name, folder in builds.items() if folder}
    record = Record(
        f"builds_{arguments.model}_{arguments.kind}_{arguments.callers}",
        setting | {"rounds": arguments.rounds, "window_s": arguments.window, "sha256": hashes},
    )
    rates: dict[str, list[float]] = {name: [] for name in builds}
    for epoch in range(arguments.epochs):
        processes = [_Process(name, folder, arguments) for name, folder in builds.items()]
        windows = _take_turns(processes, arguments.rounds)
        for name, taken in windows.items():
            rates[name].append(mean(math.log(window["per_second"]) for window in taken))
        record.settings.append({"epoch": epoch, "windows": windows})
    for name, logs in rates.items():
        _print_against(name, logs, rates)
    return record


def _hash_of(folder: str) -> str:
    """Of the build's extension: which one was measured."""
    (extension,) = Path(folder, "inferkit").glob("_core.*.so")
    return hashlib.sha256(extension.read_bytes()).hexdigest()


def _take_turns(processes: list[_Process], rounds: int) -> dict[str, list[dict[str, Any]]]:
    windows: dict[str, list[dict[str, Any]]] = {each.name: [] for each in processes}
    for each in processes:
        each.window()  # what only the first one does is not counted
    for turn in range(rounds):
        first = turn % len(processes)
        for each in processes[first:] + processes[:first]:
            windows[each.name].append(each.window())
    for each in processes:
        each.end()
    return windows


def _print_against(name: str, logs: list[float], rates: dict[str, list[float]]) -> None:
    """One line: the rate, and its ratio to each other system with its standard error."""
    line = f"  {name:20}{math.exp(mean(logs)):10,.0f}/s"
    for other, theirs in rates.items():
        if other != name:
            each = [ours - rival for ours, rival in zip(logs, theirs, strict=True)]
            error = stdev(each) / math.sqrt(len(each)) if len(each) > 1 else math.nan
            ratio = math.exp(mean(each))
            line += f"   / {other}: {ratio:.3f} +- {ratio * error:.3f}"
    print(line)


if __name__ == "__main__":
    main()
