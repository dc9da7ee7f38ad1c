"""One line per corruption and severity: how often a package is still right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsqueeze.bench.row_file import Row, write_rows

CLEAN = "clean"


class RobustnessRow(Row):
    """Scores of one package under one corruption."""

    called = "row of robustness"
    made_by = "'satsqueeze robustness'"

    package: str
    precision: str
    """Of the graph."""
    engine: str
    corruption: str
    """One of :data:`satsqueeze.data.corruptions.CORRUPTIONS`, or ``clean``."""
    severity: int
    """1 to 5, 0 for clean images."""
    accuracy: float
    """Share of images whose class is right; of multi-label images, all of whose classes are."""
    f1_macro: float | None
    """None where undefined."""
    clean_accuracy: float
    """Of the same images in the same run, with nothing wrong."""
    images: int
    left_out: int
    """Images that could not be used."""
    cards: tuple[str, ...]
    """Of the data sets."""
    seed: int
    """Of the draws."""
    corrupted_share: float = 0.0
    """Of the training images that had something wrong, as far as the package tells."""
    training_seed: int = 0

    @property
    def maker(self) -> tuple[str, str, float, int]:
        """What was scored: package, precision, and how it was trained."""
        return self.package, self.precision, self.corrupted_share, self.training_seed


def record_robustness_rows(path: Path, rows: Sequence[RobustnessRow]) -> tuple[RobustnessRow, ...]:
    """Write rows after those of the file, but those of the same package, precision and training; returns all."""
    fresh = {row.maker for row in rows}
    kept = (*(row for row in RobustnessRow.read(path) if row.maker not in fresh), *rows)
    write_rows(path, kept)
    return kept
