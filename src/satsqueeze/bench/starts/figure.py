"""Curves of a comparison of starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.starts.row import InitRow, distinct
from satsqueeze.bench.starts.seed_estimate import Estimate, estimate
from satsqueeze.core.errors import DataError

COLOURS = ("#6b7280", "#c2410c", "#0f766e", "#4338ca", "#a16207")
MARKERS = ("o", "s", "^", "D", "v")


def draw_curves(rows: Sequence[InitRow], path: Path) -> None:
    """Write mIoU by share of labels as PNG: one panel per target, one line and confidence band per start.

    Raises:
        DataError: no row.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    if not rows:
        raise DataError("there is nothing to draw; run the comparison first")
    targets, starts = distinct(rows, "target"), distinct(rows, "start")
    figure = new_figure(4.2 * len(targets), 3.6)
    for axes, target in zip(figure.subplots(1, len(targets), squeeze=False, sharey=True)[0], targets, strict=True):
        for number, start in enumerate(starts):
            found = _curve(rows, target, start)
            shares = [100 * share for share in found]
            colour = COLOURS[number % len(COLOURS)]
            marker = MARKERS[number % len(MARKERS)]
            means = [100 * point.mean for point in found.values()]
            axes.plot(shares, means, color=colour, marker=marker, ms=4, lw=1.6, label=start)
            lows, highs = ([100 * getattr(p, end) for p in found.values()] for end in ("low", "high"))
            axes.fill_between(shares, lows, highs, color=colour, alpha=0.15, lw=0)
        axes.set_xscale("log")
        axes.set_title(target, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("share of training labels, %")
        axes.grid(alpha=0.3)
    axes = figure.axes[0]
    axes.set_ylabel("mIoU on test, %")
    axes.legend(frameon=False, fontsize=9)
    write_png(figure, path)


def _curve(rows: Sequence[InitRow], target: str, start: str) -> dict[float, Estimate]:
    mine = [row for row in rows if (row.target, row.start) == (target, start)]
    shares = sorted({row.fraction for row in mine})
    return {share: estimate([row.test for row in mine if row.fraction == share]) for share in shares}
