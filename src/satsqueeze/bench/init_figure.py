"""Curves and tables of a comparison of starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from satsqueeze.bench.canvas import new_figure, write_png
from satsqueeze.bench.init_row import InitRow
from satsqueeze.bench.markdown import markdown
from satsqueeze.core.errors import DataError

CONFIDENCE = 0.95
COLOURS = ("#6b7280", "#c2410c", "#0f766e", "#4338ca", "#a16207")
MARKERS = ("o", "s", "^", "D", "v")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds with its confidence interval by Student's t; the interval is the mean alone for one seed."""

    mean: float
    low: float
    high: float
    seeds: int


def estimate(values: Sequence[float]) -> Estimate:
    """Of scores, one per seed.

    Raises:
        DataError: no score.
    """
    if not values:
        raise DataError("a mean over seeds needs at least one score, got none")
    mean, half = float(np.mean(values)), 0.0
    if len(values) > 1:
        spread = float(np.std(values, ddof=1)) / np.sqrt(len(values))
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread
    return Estimate(mean=mean, low=mean - half, high=mean + half, seeds=len(values))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Two-sided p of the paired t test over seeds; None with fewer than two, or where all differences are the same."""
    differences = np.subtract(first, second)
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(stats.ttest_rel(first, second).pvalue)


def draw_curves(rows: Sequence[InitRow], path: Path) -> None:
    """Write mIoU by share of labels as PNG: one panel per target, one line and confidence band per start.

    Raises:
        DataError: no row.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    if not rows:
        raise DataError("there is nothing to draw; run the comparison first")
    targets, starts = _distinct(rows, "target"), _distinct(rows, "start")
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


def init_table(rows: Sequence[InitRow]) -> str:
    """Test mIoU as Markdown: mean over seeds with half the confidence interval, gain over random and its paired p."""
    starts = _distinct(rows, "start")
    lines = []
    for target in _distinct(rows, "target"):
        for fraction in sorted({row.fraction for row in rows if row.target == target}):
            alike = [row for row in rows if (row.target, row.fraction) == (target, fraction)]
            cells = [start_cell(alike, start) for start in starts]
            lines.append((target, labels_cell(alike[0]), *cells))
    return markdown(("target", "labels", *starts), lines)


def labels_cell(row: InitRow) -> str:
    """How many labels, and which share of all they are."""
    return f"{row.labels} ({100 * row.fraction:g} %)"


def class_table(rows: Sequence[InitRow], *, fraction: float) -> str:
    """Jaccard of each class at a share of labels, mean over targets and seeds, of starts that all targets have."""
    alike = [row for row in rows if row.fraction == fraction]
    targets = set(_distinct(alike, "target"))
    starts = [s for s in _distinct(alike, "start") if {row.target for row in alike if row.start == s} == targets]
    lines = []
    for name in dict.fromkeys(name for row in alike for name in row.test_classes):
        cells = []
        for start in starts:
            found = [row.test_classes.get(name) for row in alike if row.start == start]
            values = [value for value in found if value is not None]
            cells.append(f"{100 * np.mean(values):.1f} %" if values else "-")
        lines.append((name, *cells))
    return markdown((f"class ({100 * fraction:g} % of labels)", *starts), lines)


def _distinct(rows: Sequence[InitRow], field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(getattr(row, field) for row in rows))


def _curve(rows: Sequence[InitRow], target: str, start: str) -> dict[float, Estimate]:
    mine = [row for row in rows if (row.target, row.start) == (target, start)]
    shares = sorted({row.fraction for row in mine})
    return {share: estimate([row.test for row in mine if row.fraction == share]) for share in shares}


def start_cell(rows: Sequence[InitRow], start: str) -> str:
    """Of rows that differ in start and seed: test mIoU of a start, its gain over the random one and the paired p."""
    scores = {row.seed: row.test for row in rows if row.start == start}
    if not scores:
        return "-"
    found = estimate(list(scores.values()))
    text = f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}"
    base = {row.seed: row.test for row in rows if row.start == "random"}
    common = sorted(scores.keys() & base.keys())
    if start == "random" or not common:
        return text
    gain = float(np.mean([scores[seed] - base[seed] for seed in common]))
    p = paired_p([scores[seed] for seed in common], [base[seed] for seed in common])
    return f"{text} ({100 * gain:+.1f}{'' if p is None else f', p = {p:.2g}'})"
