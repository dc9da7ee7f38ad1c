"""Robust training and its absence, side by side, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.robustness.row import CLEAN, RobustnessRow
from satsqueeze.data.corruptions import SEVERITIES

Twin = tuple[str, float]
"""A package, with its precision where that is not int8, and the share of its training images that were corrupted."""


def twins(rows: Sequence[RobustnessRow]) -> dict[Twin, dict[tuple[str, int], list[float]]]:
    """Accuracies over seeds, by twin, then by corruption and severity."""
    found: dict[Twin, dict[tuple[str, int], list[float]]] = {}
    for row in rows:
        name = row.package if row.precision == "int8" else f"{row.package}, {row.precision}"
        cells = found.setdefault((name, row.corrupted_share), {})
        cells.setdefault((row.corruption, row.severity), []).append(row.accuracy)
    return found


def twins_table(rows: Sequence[RobustnessRow]) -> str:
    """A Markdown table: a row per corruption and twin, mean accuracy and standard deviation over seeds by severity."""
    found = twins(rows)
    heads = ("corruption", "package", "corrupted images in training", "clean", *map(str, SEVERITIES))
    lines = []
    for kind in dict.fromkeys(row.corruption for row in rows if row.corruption != CLEAN):
        for (package, share), cells in sorted(found.items()):
            scores = [cells.get((CLEAN, 0)), *(cells.get((kind, severity)) for severity in SEVERITIES)]
            lines.append((kind, package, f"{share:.0%}", *map(_written, scores)))
    return markdown(heads, lines, right=range(2, len(heads)))


def _written(scores: Sequence[float] | None) -> str:
    if not scores:
        return "\N{EN DASH}"
    spread = f" ± {100 * stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{100 * mean(scores):.1f}{spread} %"
