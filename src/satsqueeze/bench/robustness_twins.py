"""Robust training and its absence, side by side, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from satsqueeze.bench.robustness_row import CLEAN, RobustnessRow
from satsqueeze.data.corruptions import SEVERITIES


def twins(rows: Sequence[RobustnessRow]) -> dict[float, dict[tuple[str, int], list[float]]]:
    """Accuracies over seeds, by the share of corrupted training images, then by corruption and severity."""
    found: dict[float, dict[tuple[str, int], list[float]]] = {}
    for row in rows:
        cells = found.setdefault(row.corrupted_share, {})
        cells.setdefault((row.corruption, row.severity), []).append(row.accuracy)
    return found


def twins_table(rows: Sequence[RobustnessRow]) -> str:
    """A Markdown table: a row per corruption and share, mean accuracy and standard deviation over seeds by severity."""
    found = twins(rows)
    lines = [
        "| corruption | corrupted images in training | clean | " + " | ".join(map(str, SEVERITIES)) + " |",
        "| --- | ---: | ---: |" + " ---: |" * len(SEVERITIES),
    ]
    for kind in dict.fromkeys(row.corruption for row in rows if row.corruption != CLEAN):
        for share, cells in sorted(found.items()):
            scores = [cells.get((CLEAN, 0)), *(cells.get((kind, severity)) for severity in SEVERITIES)]
            lines.append(f"| {kind} | {share:.0%} | {' | '.join(map(_written, scores))} |")
    return "\n".join(lines)


def _written(scores: Sequence[float] | None) -> str:
    if not scores:
        return "\N{EN DASH}"
    spread = f" ± {100 * stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{100 * mean(scores):.1f}{spread} %"
