"""How the distillation of a classifier went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsqueeze.bench.drawing.curves import curve_panels, write_curves
from satsqueeze.bench.drawing.figures import Curve
from satsqueeze.core.errors import DataError

_COLOURS = ("#3d55c4", "#0b8f72", "#c2410c", "#a16207", "#7e22ce", "#6b7280")
_LOSSES = {
    "loss": "all",
    "hard": "labels, unweighted",
    "distillation": "teachers",
    "attention": "attention",
}
_SCORES = {"accuracy": "accuracy", "mean_average_precision": "mean average precision"}


def draw_distillation(history: Curve, path: Path, *, teachers: Sequence[str]) -> None:
    """Write losses, validation score, and what labels and teachers count, by epoch, as PNG.

    Args:
        history: rows of a ``history.csv``; without validation images it has no score.
        path: of the picture.
        teachers: their names, in the order in which they answer.

    Raises:
        DataError: the history has none of the columns.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    shares = {f"share_{number}": name for number, name in enumerate(teachers, start=1)}
    panels = {
        "Losses": _LOSSES,
        "On validation images": _SCORES,
        "Mean weights": {"share_hard": "labels", **shares},
    }
    drawn = curve_panels(history, panels, _COLOURS)
    if not drawn:
        raise DataError(f"the history of {len(history)} epochs tells nothing of a distillation; train anew to write it")
    write_curves(drawn, path)
