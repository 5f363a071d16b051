"""Charts of the results, as SVG for light and for dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import Results
from benchmarks.panels import CALLERS, PANELS, digest_of, systems
from benchmarks.rounds import Samples

KINDS = {"asyncio": f"{CALLERS} asyncio tasks", "threads": f"{CALLERS} threads"}


@dataclass(frozen=True)
class Theme:
    """Colours for one background; the background itself stays the page's."""

    text: str
    ours: str
    theirs: str


THEMES = {
    "light": Theme(text="#1f2328", ours="#0969da", theirs="#afb8c1"),
    "dark": Theme(text="#e6edf3", ours="#58a6ff", theirs="#6e7681"),
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes ``throughput-light.svg`` and ``throughput-dark.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    panels = [systems(results, model, kind) for model, kind in PANELS]
    digest = digest_of(results)
    return [_draw(panels, name, theme, folder, digest) for name, theme in THEMES.items()]


def _draw(
    panels: Sequence[Sequence[Samples]], name: str, theme: Theme, folder: Path, digest: str
) -> Path:
    style: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "inferkit",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": theme.text,
        "axes.edgecolor": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }
    with mpl.rc_context(style):
        canvas = Canvas(figsize=(10, 5.5), layout="constrained")
        for axes, samples, (model, kind) in zip(
            canvas.subplots(2, 2).flat, panels, PANELS, strict=True
        ):
            _panel(axes, samples, theme)
            axes.set_title(f"model ({model}), {KINDS[kind]}", loc="left", fontsize=10)
        canvas.supxlabel("requests/s: median of the rounds, with the least and the greatest")
        path = folder / f"throughput-{name}.svg"
        drawn = StringIO()
        canvas.savefig(drawn, format="svg", transparent=True)
    path.write_text(_without_details(drawn.getvalue(), f"results sha256 {digest}"))
    return path


def _without_details(svg: str, comment: str) -> str:
    """Without the day and the addresses that matplotlib adds, with a comment in their place."""
    begin, end = svg.index("<svg"), svg.index("<metadata>")
    after = svg.index("</metadata>") + len("</metadata>")
    return f"{svg[begin:end]}<!-- {comment} -->{svg[after:]}"


def _panel(axes: Axes, samples: Sequence[Samples], theme: Theme) -> None:
    rates = [each.median("per_second") for each in samples]
    spreads = [each.spread("per_second") for each in samples]
    errors = [
        [rate - low for rate, (low, _) in zip(rates, spreads, strict=True)],
        [high - rate for rate, (_, high) in zip(rates, spreads, strict=True)],
    ]
    colours = [theme.ours if each.family == "inferkit" else theme.theirs for each in samples]
    axes.barh([each.system for each in samples], rates, color=colours)
    axes.errorbar(rates, range(len(rates)), xerr=errors, fmt="none", ecolor=theme.text, lw=0.8)
    for place, (rate, (_, high)) in enumerate(zip(rates, spreads, strict=True)):
        axes.annotate(f" {rate:,.0f}", (max(rate, high), place), va="center", fontsize=8)
    axes.margins(x=0.18)
    axes.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
