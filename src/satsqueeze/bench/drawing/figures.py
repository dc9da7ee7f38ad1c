"""Plots of a report as SVG that follows the page: its font, and its colours in light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from satsqueeze.bench.drawing.canvas import new_figure, number_decades, style
from satsqueeze.bench.drawing.placement import Box, Label, place_labels
from satsqueeze.bench.row import KINDS, BenchRow
from satsqueeze.bench.tables import format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that stand for variables of the page; matplotlib writes them into the SVG, where they are replaced.
INK, MUTED, LINE, SURFACE = "#010101", "#010102", "#010103", "#010104"
KIND_COLOURS = {kind: f"#01020{i}" for i, kind in enumerate(KINDS)}
SERIES = tuple(f"#01030{i}" for i in range(6))
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    SURFACE: "surface",
    **{colour: kind for kind, colour in KIND_COLOURS.items()},
    **{colour: f"series-{i}" for i, colour in enumerate(SERIES)},
}
_MARKERS = {"threshold": "D", "baseline": "s", "teacher": "^", "student": "o"}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
Curve = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A horizontal axis of a Pareto plot."""

    title: str
    unit: str
    of: Callable[[BenchRow], float | None]


COSTS = (
    Cost(title="Parameters", unit="trainable parameters", of=lambda row: row.parameters),
    Cost(title="Multiply-accumulates", unit="MACs per pixel", of=lambda row: row.macs_per_pixel),
    Cost(
        title="Latency",
        unit="seconds per megapixel, median",
        of=lambda row: row.latency.p50_s_per_mpixel if row.latency else None,
    ),
)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points (cost, quality) that no other beats at equal or lower cost, by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or quality > front[-1][1]:
            front.append((cost, quality))
    return front


def pareto_plot(rows: Sequence[BenchRow], cost: Cost, *, chosen: str = "") -> str:
    """Jaccard against one cost, on a logarithmic axis, with the Pareto front; empty without two models to compare.

    Filled markers are float models, hollow ones int8; bars are the standard deviation over seeds. The name of the
    chosen model is bold.
    """
    shown = [(row, x, row.jaccard) for row in rows if (x := cost.of(row)) and row.jaccard is not None]
    if len({row.name for row, _, _ in shown}) < 2:
        return ""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_title(cost.title, pad=10)
        axes.set_xlabel(cost.unit)
        low, high = _jaccard_range(shown)
        axes.set_ylim(low, high)
        front = pareto_front([(x, y) for _, x, y in shown])
        axes.step([x for x, _ in front], [y for _, y in front], where="post", color=MUTED, lw=1, ls=(0, (3, 3)))
        for row, x, y in shown:
            colour = KIND_COLOURS[row.kind]
            face = SURFACE if row.precision == "int8" else colour
            axes.errorbar(
                x,
                y,
                yerr=row.scores[0].spread,
                fmt=_MARKERS[row.kind],
                ms=7.5,
                mfc=face,
                mec=colour,
                mew=1.6,
                ecolor=colour,
            )
        left, right = axes.get_xlim()
        axes.set_xlim(left / (right / left) ** 0.08, right * (right / left) ** 0.08)
        _write_names(axes, _names(shown, low), [(x, y) for _, x, y in shown], chosen)
        number_decades(axes, lambda value: format_value(value, "count"))

    return render(f"pareto {cost.title}", [draw], width=3.7, height=3.3)


def curve_plot(curves: Mapping[str, Curve]) -> str:
    """Training loss and validation Jaccard by epoch, one line per model."""

    def panel(column: str, title: str) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            axes.set_title(title, pad=10)
            axes.set_xlabel("epoch")
            for position, (name, rows) in enumerate(curves.items()):
                points = [(row["epoch"], row[column]) for row in rows if _is_number(row.get(column))]
                colour = SERIES[position % len(SERIES)]
                if points:
                    axes.plot(
                        *zip(*points, strict=True), color=colour, label=name, marker="o" if len(points) == 1 else ""
                    )

        return draw

    shown = [
        (column, title)
        for column, title in (("loss", "Training loss"), ("jaccard", "Validation Jaccard"))
        if any(_is_number(row.get(column)) for rows in curves.values() for row in rows)
    ]
    panels = [panel(column, title) for column, title in shown]
    return render(f"curves {' '.join(curves)}", panels, width=5.8, height=3.0) if panels else ""


def render(name: str, panels: Sequence[Callable[[Axes], None]], *, width: float, height: float) -> str:
    """Draw panels side by side and return the SVG element.

    Args:
        name: seeds the identifiers in the SVG, so that plots of one page do not share them.
        panels: draw on an axes each.
        width: of a panel, in inches.
        height: of all, in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with style({**_STYLE, "svg.hashsalt": name}):
        figure = new_figure(width * len(panels), height)
        for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            axes.grid(visible=False, axis="x")
            draw(axes)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _embed(target.getvalue(), re.sub(r"\W+", "-", name.lower()))


def _embed(svg: str, prefix: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace("font: 700 ", "font: 620 ").replace("font-weight: 700", "font-weight: 620")
    svg = re.sub(r"font-family: [^;\"]+", "font-family: var(--font)", svg)
    svg = re.sub(r"font: ([^;\"]*?)(\d+(?:\.\d+)?px) [^;\"]*", r"font: \1\2 var(--font)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.strip()


def _jaccard_range(shown: Sequence[tuple[BenchRow, float, float]]) -> tuple[float, float]:
    """Of the vertical axis: a threshold far below the networks must not flatten them."""
    values = [y for row, _, y in shown if row.kind != "threshold"] or [y for _, _, y in shown]
    margin = 0.16 * max(max(values) - min(values), 0.02)
    return min(values) - 1.6 * margin, max(values) + margin


def _names(shown: Sequence[tuple[BenchRow, float, float]], low: float) -> list[tuple[str, float, float]]:
    names: dict[str, tuple[str, float, float]] = {}
    for row, x, y in shown:
        # A point below the axis is named at its foot, with its value.
        at_foot = y < low
        names.setdefault(row.name, (f"{row.name} {y:.3f} \N{DOWNWARDS ARROW}" if at_foot else row.name, x, max(y, low)))
    return list(names.values())


def _write_names(
    axes: Axes, names: Sequence[tuple[str, float, float]], markers: Sequence[tuple[float, float]], chosen: str
) -> None:
    points_per_pixel = 72 / axes.figure.dpi
    labels = []
    for name, x, y in names:
        px, py = axes.transData.transform((x, y)) * points_per_pixel
        labels.append(Label(text=name, x=float(px), y=float(py)))
    area = axes.get_window_extent()
    left, bottom, right, top = (float(v) * points_per_pixel for v in (area.x0, area.y0, area.x1, area.y1))
    others = [tuple(axes.transData.transform(point) * points_per_pixel) for point in markers]
    places = place_labels(labels, Box(left=left, bottom=bottom, right=right, top=top), markers=others)
    for (name, x, y), place in zip(names, places, strict=True):
        axes.annotate(
            name,
            (x, y),
            (place.dx, place.dy),
            textcoords="offset points",
            ha=place.align,
            va="center",
            fontsize=8.5,
            fontweight="bold" if name == chosen else "normal",
            bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.6},
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
