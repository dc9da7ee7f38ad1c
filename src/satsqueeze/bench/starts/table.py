"""Tables of a comparison of starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.starts.row import InitRow, distinct
from satsqueeze.bench.starts.seed_estimate import estimate, gain


def init_table(rows: Sequence[InitRow]) -> str:
    """Test mIoU as Markdown: mean over seeds with half the confidence interval, gain over random and its paired p."""
    starts = distinct(rows, "start")
    lines = []
    for target in distinct(rows, "target"):
        for fraction in sorted({row.fraction for row in rows if row.target == target}):
            alike = [row for row in rows if (row.target, row.fraction) == (target, fraction)]
            cells = [start_cell(alike, start) for start in starts]
            lines.append((target, labels_cell(alike[0]), *cells))
    return markdown(("target", "labels", *starts), lines)


def class_table(rows: Sequence[InitRow], *, fraction: float) -> str:
    """Jaccard of each class at a share of labels, mean over targets and seeds, of starts that all targets have."""
    alike = [row for row in rows if row.fraction == fraction]
    targets = set(distinct(alike, "target"))
    starts = [s for s in distinct(alike, "start") if {row.target for row in alike if row.start == s} == targets]
    lines = []
    for name in dict.fromkeys(name for row in alike for name in row.test_classes):
        cells = []
        for start in starts:
            found = [row.test_classes.get(name) for row in alike if row.start == start]
            values = [value for value in found if value is not None]
            cells.append(f"{100 * np.mean(values):.1f} %" if values else "-")
        lines.append((name, *cells))
    return markdown((f"class ({100 * fraction:g} % of labels)", *starts), lines)


def labels_cell(row: InitRow) -> str:
    """How many labels, and which share of all they are."""
    return f"{row.labels} ({100 * row.fraction:g} %)"


def start_cell(rows: Sequence[InitRow], start: str) -> str:
    """Of rows that differ in start and seed: test mIoU of a start, its gain over the random one and the paired p."""
    scores = {row.seed: row.test for row in rows if row.start == start}
    if not scores:
        return "-"
    text = estimate(list(scores.values())).percent
    base = {row.seed: row.test for row in rows if row.start == "random"}
    if start == "random" or not scores.keys() & base.keys():
        return text
    more, p = gain(scores, base)
    return f"{text} ({100 * more.mean:+.1f}{'' if p is None else f', p = {p:.2g}'})"
