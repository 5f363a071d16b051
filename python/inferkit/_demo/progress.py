"""The progress bar: rich where it is installed, ASCII elsewhere, nothing without a terminal."""

from __future__ import annotations

import importlib
import importlib.util
import os
from time import perf_counter
from typing import Any, Self, TextIO

WIDTH = 32
REDRAW = 0.1  # seconds between two drawings


class Progress:
    """Time planned and time spent, shown nowhere; the subclasses show it.

    Threads: one. Blocks: no.
    """

    def __init__(self, total: float) -> None:
        self._total = total
        self._done = 0.0
        self._planned = 0.0
        self._began = perf_counter()
        self._label = ""
        self._next = 0.0

    def begin(self, label: str, seconds: float) -> None:
        """End the stage before and begin one planned to last ``seconds``."""
        self._done += self._planned
        self._label, self._planned, self._began = label, seconds, perf_counter()
        self._next = 0.0
        self.tick()

    def tick(self) -> None:
        """Show how far the stage is; cheap enough to call for every file."""
        now = perf_counter()
        if now < self._next:
            return
        self._next = now + REDRAW
        spent = min(now - self._began, self._planned)
        self.show(min((self._done + spent) / self._total, 1.0), self._label)

    def show(self, share: float, label: str) -> None:
        """Draw ``share`` (0 to 1) of the work with the name of the stage."""

    def close(self) -> None:
        """Take the bar off the screen."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsciiProgress(Progress):
    """One line, redrawn in place."""

    def __init__(self, total: float, stream: TextIO) -> None:
        super().__init__(total)
        self._stream = stream

    def show(self, share: float, label: str) -> None:
        full = round(share * WIDTH)
        bar = "#" * full + "-" * (WIDTH - full)
        self._write(f"[{bar}] {share:4.0%} {label[:40]:<40}")

    def close(self) -> None:
        self._write(" " * (WIDTH + 48) + "\r")

    def _write(self, line: str) -> None:
        self._stream.write("\r" + line)
        self._stream.flush()


class RichProgress(Progress):
    """Rich's bar, refreshed only when told: its own thread would compete with the callers."""

    def __init__(self, total: float, stream: TextIO) -> None:
        super().__init__(total)
        bars: Any = importlib.import_module("rich.progress")
        console: Any = importlib.import_module("rich.console").Console(file=stream)
        self._bar = bars.Progress(
            bars.BarColumn(WIDTH),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0)

    def show(self, share: float, label: str) -> None:
        self._bar.update(self._task, completed=share, description=label, refresh=True)

    def close(self) -> None:
        self._bar.stop()


def open_progress(total: float, stream: TextIO) -> Progress:
    """Return the best bar that ``stream`` can show for ``total`` planned seconds."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return Progress(total)
    if importlib.util.find_spec("rich") is None:
        return AsciiProgress(total, stream)
    return RichProgress(total, stream)
