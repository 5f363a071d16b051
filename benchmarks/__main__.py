"""``python -m benchmarks``: measures, prints tables, writes ``results/*.json``."""

import argparse
import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import report
from benchmarks.python import (
    busy_thread,
    closed_loop,
    deadlines,
    denormals,
    hidden_costs,
    ideal,
    import_time,
    lone_await,
    lone_call,
    memory,
    micro,
    native_rooms,
    open_loop,
)
from benchmarks.record import Record
from benchmarks.settings import QUICK, Settings

BENCHMARKS: dict[str, Callable[[Settings], Record]] = {
    "import_time": import_time.run,
    "lone_call": lone_call.run,
    "lone_await": lone_await.run,
    "memory": memory.run,
    "denormals": denormals.run,
    "hidden_costs": hidden_costs.run,
    "micro": micro.run,
    "native_rooms": native_rooms.run,
    "ideal": ideal.run,
    "closed_loop": closed_loop.run,
    "busy_thread": busy_thread.run,
    "open_loop": open_loop.run,
    "deadlines": deadlines.run,
}

PER_MODEL = {"lone_call", "lone_await", "ideal", "closed_loop", "busy_thread", "open_loop"}
"""Those that write a file for each model, so that one can be measured again alone."""


def main() -> None:
    """Parses the command line and runs what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--only", default="", help=f"comma-separated, of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--models", default="a,b", help="comma-separated, of: a, b, c, d, e")
    parser.add_argument("--callers", default="", help="comma-separated numbers of callers")
    parser.add_argument("--rounds", type=int, default=0, help="alternations (default 7)")
    parser.add_argument("--window", type=float, default=0.0, help="seconds each (default 1)")
    parser.add_argument("--peers-only", action="store_true", help="leave inferkit out")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results", help="folder for the JSON"
    )
    parser.add_argument("--report", action="store_true", help="then: python -m benchmarks.report")
    arguments = parser.parse_args()
    names = [name for name in arguments.only.split(",") if name] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    for name in names:
        for settings in _parts(name, _settings(arguments)):
            record = BENCHMARKS[name](settings)
            if name in PER_MODEL:
                record.benchmark += f"_{settings.models[0]}"
            print(f"  -> {record.write(arguments.out)}")
            gc.collect()
    if arguments.report:
        report.write()


def _parts(name: str, settings: Settings) -> list[Settings]:
    if name not in PER_MODEL:
        return [settings]
    return [replace(settings, models=(model,)) for model in settings.models]


def _settings(arguments: argparse.Namespace) -> Settings:
    base = QUICK if arguments.quick else Settings()
    return replace(
        base,
        models=tuple(arguments.models.split(",")),
        callers=tuple(map(int, arguments.callers.split(",")))
        if arguments.callers
        else base.callers,
        rounds=arguments.rounds or base.rounds,
        window_s=arguments.window or base.window_s,
        peers_only=arguments.peers_only,
    )


if __name__ == "__main__":
    main()
