"""Columns of a training history by epoch, in panels side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.drawing.figures import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"
WIDTH, HEIGHT = 2.9, 2.6
"""Of a panel, in inches."""
_DPI = 110

Panels = Mapping[str, Mapping[str, str]]
"""Titles, with the names of their curves by column of the history."""


def curve_panels(history: Curve, panels: Panels, colours: Sequence[str]) -> list[Callable[[Axes], None]]:
    """What draws each panel of which the history holds a column; columns without a value are left out."""
    told = {name for row in history for name, value in row.items() if value is not None}
    shown = {title: {name: text for name, text in curves.items() if name in told} for title, curves in panels.items()}
    return [_panel(history, title, curves, colours) for title, curves in shown.items() if curves]


def write_curves(panels: Sequence[Callable[[Axes], None]], path: Path) -> None:
    """Write panels, at least one, as PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    figure = new_figure(WIDTH * len(panels), HEIGHT)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.grid(alpha=0.3)
        draw(axes)
    write_png(figure, path, dpi=_DPI)


def _panel(history: Curve, title: str, curves: Mapping[str, str], colours: Sequence[str]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.set_title(title, pad=8, fontsize=10, loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True, nbins=5)
        for (column, name), colour in zip(curves.items(), cycle(colours), strict=False):
            points = [(row["epoch"], row[column]) for row in history if row.get(column) is not None]
            axes.plot(*zip(*points, strict=True), color=colour, label=name, marker="o" if len(points) == 1 else "")
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=8)

    return draw
