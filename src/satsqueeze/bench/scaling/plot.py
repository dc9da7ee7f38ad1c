"""Score against cost of the networks of a sweep, with the scaled series drawn through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from satsqueeze.bench.drawing.canvas import new_figure, number_decades, style
from satsqueeze.bench.drawing.figures import pareto_front
from satsqueeze.bench.drawing.placement import Box, Label, place_labels
from satsqueeze.bench.zoo.row import ZooRow
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES, BASELINE = "wrn-eca-b", "resnet50"
SUFFIXES = (".png", ".svg", ".pdf")
_WIDTH, _HEIGHT, _DPI = 8.0, 5.0, 160
_POINTS = 72
_STYLE = {"svg.hashsalt": "zoo", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def plot_scores(rows: Sequence[ZooRow], path: Path) -> None:
    """Draw the mean score over seeds against multiply-accumulates, on a logarithmic axis.

    Test scores where every network has one, else validation scores. Named are the scaled series, which is joined by a
    line, the baseline and the Pareto front.

    Args:
        rows: of one sweep; failures are left out.
        path: of the picture, PNG, SVG or PDF by its suffix.

    Raises:
        SettingsError: another suffix, fewer than two networks, or rows of several metrics or sizes of image.
        RunError: the picture cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"a plot is written as {', '.join(SUFFIXES)}, got {path.name}; change the suffix")
    done = [row for row in rows if not row.failure and row.macs and row.validation is not None]
    kinds = sorted({(row.metric, row.size or 0) for row in done})
    if len({row.model for row in done}) < 2 or len(kinds) != 1:
        raise SettingsError(
            f"a plot needs the rows of at least two networks, of one metric and size of image; got "
            f"{len({row.model for row in done})} networks and {kinds}"
        )
    part = "test" if all(row.test is not None for row in done) else "validation"
    points = {row.model: (float(row.macs or 0), _mean(done, row.model, part)) for row in done}
    with style(_STYLE):
        figure = new_figure(_WIDTH, _HEIGHT, dpi=_DPI)
        axes = figure.subplots()
        _draw(axes, points)
        metric, size = kinds[0]
        axes.set_xlabel(f"multiply-accumulates of one image of {size} px, in millions")
        axes.set_ylabel(f"{metric.replace('_', ' ')} on {part} images, %")
        figure.draw_without_rendering()
        _name(axes, points)
        with replacing(path) as temporary:
            kind = path.suffix.lower().removeprefix(".")
            stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
            figure.savefig(temporary, format=kind, metadata=stamp)


def series_of(models: Sequence[str]) -> list[str]:
    """Members of the scaled series among names, by their step."""
    steps = {name: int(found[1]) for name in models if (found := re.fullmatch(rf"{SERIES}(\d+)", name))}
    return sorted(steps, key=lambda name: steps[name])


def _mean(rows: Sequence[ZooRow], model: str, part: str) -> float:
    """In percent."""
    scores = [float(getattr(row, part)) for row in rows if row.model == model]
    return 100 * sum(scores) / len(scores)


def _draw(axes: Axes, points: dict[str, tuple[float, float]]) -> None:
    series = [points[name] for name in series_of(list(points))]
    front = pareto_front(list(points.values()))
    axes.set_xscale("log")
    axes.grid(visible=True, color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.step(*zip(*front, strict=True), where="post", color="0.55", linewidth=1, linestyle=(0, (4, 3)), label="front")
    axes.plot(*zip(*points.values(), strict=True), "o", color="0.72", markersize=5)
    if series:
        axes.plot(*zip(*series, strict=True), "o-", color="#0b6e99", markersize=6, label="scaled WRN-ECA")
    if BASELINE in points:
        axes.plot(*points[BASELINE], "s", color="#b3402a", markersize=7, label=BASELINE)
    axes.margins(x=0.08, y=0.08)
    number_decades(axes, lambda value: f"{value / 1e6:g}")
    axes.legend(loc="lower right", frameon=False)


def _name(axes: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write names beside their points, once the axes have their final place."""
    front = set(pareto_front(list(points.values())))
    named = [
        name for name, point in points.items() if point in front or name == BASELINE or name in series_of(list(points))
    ]
    scale = _POINTS / axes.figure.dpi
    paper = {name: tuple(axes.transData.transform(point) * scale) for name, point in points.items()}
    labels = [Label(text=_short(name), x=paper[name][0], y=paper[name][1]) for name in named]
    box = axes.get_window_extent()
    frame = Box(left=box.x0 * scale, bottom=box.y0 * scale, right=box.x1 * scale, top=box.y1 * scale)
    others = [(paper[name][0], paper[name][1]) for name in points if name not in named]
    for name, label, place in zip(named, labels, place_labels(labels, frame, markers=others), strict=True):
        axes.annotate(
            label.text,
            points[name],
            xytext=(place.dx, place.dy),
            textcoords="offset points",
            ha=place.align,
            va="center",
            fontsize=8,
            # On white, so that the lines beneath do not strike names through.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            color="#0b6e99" if name.startswith(SERIES) else "0.25",
        )


def _short(name: str) -> str:
    return name.removeprefix(SERIES[:-1]).upper() if series_of([name]) else name
