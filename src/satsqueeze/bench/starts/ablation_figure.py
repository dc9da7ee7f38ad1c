"""A figure of an ablation of pre-training: one panel per factor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.starts.ablation_row import AblationRow
from satsqueeze.bench.starts.ablation_table import by_seed, random_by_seed
from satsqueeze.bench.starts.seed_estimate import gain
from satsqueeze.core.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 4
_COLOUR, _REFERENCE, _ZERO = "#0f766e", "#c2410c", "#6b7280"


def draw_ablation(rows: Sequence[AblationRow], path: Path) -> None:
    """Write the gain over a random start as PNG: dots are seeds, bars 95 % intervals of their mean.

    Raises:
        DataError: no row.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    factors = tuple(dict.fromkeys(row.factor for row in rows if row.factor))
    if not factors:
        raise DataError("there is nothing to draw; run the ablation first")
    across = min(_ACROSS, len(factors))
    down = -(-len(factors) // across)
    figure = new_figure(3.1 * across, 2.7 * down)
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes, factor in zip(panels.flat, factors, strict=False):
        _draw_factor(axes, rows, factor)
    for axes in panels.flat[len(factors) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("mIoU over random, points")
    write_png(figure, path)


def _draw_factor(axes: Axes, rows: Sequence[AblationRow], factor: str) -> None:
    base = random_by_seed(rows)
    values = tuple(dict.fromkeys(row.value for row in rows if row.factor == factor))
    for place, value in enumerate(values):
        scores = by_seed(rows, factor, value)
        found, _ = gain(scores, base)
        reference = any(row.is_reference for row in rows if row.cell == (factor, value))
        colour = _REFERENCE if reference else _COLOUR
        half = 100 * found.half
        axes.errorbar(place, 100 * found.mean, yerr=half, fmt="D" if reference else "o", color=colour, capsize=4, ms=6)
        gains = [100 * (scores[seed] - base[seed]) for seed in scores if seed in base]
        axes.scatter([place] * len(gains), gains, s=9, color=colour, alpha=0.5, zorder=3)
    axes.axhline(0, color=_ZERO, lw=1, ls="--")
    axes.set_xticks(range(len(values)), values, fontsize=8)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_title(factor, loc="left", fontsize=10, fontweight="bold")
    axes.grid(axis="y", alpha=0.3)
