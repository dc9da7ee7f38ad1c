"""One line per training of a comparison of starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsqueeze.bench.machine import Machine
from satsqueeze.bench.row_file import Row, read_row_file, write_row_file


class InitRow(Row):
    """What came of one target, start, label fraction and seed, at the learning rate that was chosen for them."""

    target: str
    """Region that was learnt and tested on."""
    start: str
    source: str
    """Region that the start had learnt from; empty for a random one."""
    fraction: float
    """Share of the training labels."""
    seed: int
    fingerprint: str
    """Hash of all that the figures depend on."""
    model: str
    parameters: int | None = None
    """Of the network; None in rows from before it was counted."""
    labels: int
    """Images with labels that it learnt from."""
    rate: float
    """Learning rate, chosen by the mean validation score over seeds."""
    tried: dict[str, float]
    """Mean validation mIoU over seeds of every learning rate, the same ones for every start."""
    validation: float
    """mIoU of the kept weights on the validation images."""
    test: float
    """mIoU on test images, on which nothing was chosen."""
    test_classes: dict[str, float | None]
    """Jaccard of each class on the test images; None where a class is in neither truth nor prediction."""
    test_images: int
    steps: int
    seconds: float
    """Of this training."""
    source_seconds: float
    """Of the training that it starts from; 0 for a random start."""
    machine: Machine | None = None

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What a rerun replaces."""
        return self.target, self.start, self.fraction, self.seed


def read_init_rows(path: Path) -> tuple[InitRow, ...]:
    """Rows of a JSON-lines file, in order; none where there is no file yet.

    Raises:
        RunError: a line that is not a row; the message gives its number.
    """
    return read_row_file(
        path,
        InitRow,
        name="row of a comparison of starts",
        remedy="check the path; if the file is damaged, remove it and run the comparison again",
    )


def write_init_rows(path: Path, rows: Sequence[InitRow]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    write_row_file(path, rows)


def distinct(rows: Sequence[InitRow], field: str) -> tuple[str, ...]:
    """Values of a field, each once, in order."""
    return tuple(dict.fromkeys(getattr(row, field) for row in rows))
