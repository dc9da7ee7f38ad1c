"""A figure of robustness: one panel per corruption."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import mean

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.robustness.row import CLEAN, RobustnessRow
from satsqueeze.bench.robustness.twins import twins
from satsqueeze.core.errors import DataError
from satsqueeze.data.corruptions import SEVERITIES

_COLOURS = ("#c2410c", "#0f766e", "#1d4ed8", "#6b7280")


def draw_robustness(rows: Sequence[RobustnessRow], path: Path) -> None:
    """Write accuracy by severity as PNG: lines are means over seeds, bands their range; severity 0 is clean.

    Raises:
        DataError: no corrupted image was scored.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    kinds = tuple(dict.fromkeys(row.corruption for row in rows if row.corruption != CLEAN))
    if not kinds:
        raise DataError("there is nothing to draw; score a package under a corruption first")
    figure = new_figure(2.7 * len(kinds), 2.9)
    panels = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        for colour, ((package, share), cells) in zip(cycle(_COLOURS), sorted(twins(rows).items()), strict=False):
            steps = [(CLEAN, 0), *((kind, severity) for severity in SEVERITIES)]
            scores = [(step[1], [100 * score for score in cells[step]]) for step in steps if step in cells]
            at = [severity for severity, _ in scores]
            axes.plot(
                at,
                [mean(found) for _, found in scores],
                color=colour,
                marker="o",
                ms=3,
                label=f"{package}, {share:.0%}",
            )
            low, high = [min(found) for _, found in scores], [max(found) for _, found in scores]
            axes.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
        axes.set_title(kind, loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel("severity")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy, %")
    panels[0].legend(title="corrupted in training", fontsize=8, title_fontsize=8)
    write_png(figure, path)
