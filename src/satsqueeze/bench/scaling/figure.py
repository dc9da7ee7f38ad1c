"""What a search for a scaling rule found: a table of its trials, and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.scaling.row import Ranked, ScalingRow, ranked
from satsqueeze.core.errors import DataError
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#c2410c", "#0f766e", "#1d4ed8", "#a16207", "#7e22ce", "#6b7280")
_APART = 0.006  # of depth, between bars that would hide each other
_HEADS = (
    "blocks",
    "channels",
    "side (px)",
    "depth",
    "width",
    "resolution",
    "parameters",
    "MACs",
    "validation",
    "seeds",
)


def scaling_table(rows: Sequence[ScalingRow]) -> str:
    """A Markdown table of the rules that were tried, the best first; the factors are those of a whole trial."""
    return markdown(_HEADS, map(_cells, ranked(rows)), right=range(2, len(_HEADS)))


def _cells(one: Ranked) -> tuple[str, ...]:
    rule, row = one.scaling, one.row
    blocks = "-".join(map(str, row.blocks)) + (" (shipped rule)" if is_shipped(rule) else "")
    spread = "" if one.spread is None else f" ± {one.spread:.2%}"
    return (
        blocks,
        "-".join(map(str, row.widths)),
        str(row.side),
        *(f"{factor:.3f}" for factor in (rule.depth, rule.width, rule.resolution)),
        f"{row.parameters:,}",
        f"{row.macs:,}",
        f"{one.score:.2%}{spread}",
        str(one.seeds),
    )


def is_shipped(rule: CompoundScaling) -> bool:
    """Whether a trial shares depth and resolution as the shipped rule does; its width was fitted to the cost."""
    # Both are powers of the rule's factors, so their logarithms are in the ratio of the rule's.
    depth, resolution = math.log(rule.depth), math.log(rule.resolution)
    ours = math.log(SCALING.depth), math.log(SCALING.resolution)
    if not any(ours):
        return not (depth or resolution)
    return depth + resolution > 0 and math.isclose(depth * ours[1], resolution * ours[0], abs_tol=1e-9)


def draw_scaling(rows: Sequence[ScalingRow], path: Path) -> None:
    """Write the validation score by depth as PNG, a line for each resolution; bars are the deviation over seeds.

    Raises:
        DataError: no trial was scored.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    found = ranked(rows)
    if not found:
        raise DataError("there is nothing to draw; no trial of the search was scored")
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    sides = sorted({one.row.side or 0 for one in found})
    for number, (colour, side) in enumerate(zip(cycle(_COLOURS), sides, strict=False)):
        line = sorted((one for one in found if one.row.side == side), key=lambda one: one.scaling.depth)
        _line(axes, line, aside=number * _APART, label=f"{side} px", color=colour, marker="o")
    shipped = [one for one in found if is_shipped(one.scaling)]
    _line(axes, shipped, label="shipped rule", color="black", marker="D", zorder=3)
    axes.set_xlabel("depth: blocks in those of B0")
    axes.set_ylabel(f"{found[0].row.metric.replace('_', ' ')} on validation images, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    write_png(figure, path)


def _line(axes: Axes, found: Sequence[Ranked], *, aside: float = 0.0, **style: Any) -> None:
    axes.errorbar(
        [one.scaling.depth + aside for one in found],
        [100 * one.score for one in found],
        yerr=[100 * (one.spread or 0.0) for one in found],
        capsize=3,
        ms=4,
        lw=1.2,
        **style,
    )
