"""One line per training of a comparison of starts."""

from __future__ import annotations

from collections.abc import Sequence

from satsqueeze.bench.machine import Machine
from satsqueeze.bench.row_file import Row


class InitRow(Row):
    """What came of one target, start, label fraction and seed, at the learning rate that was chosen for them."""

    called = "row of a comparison of starts"
    made_by = "the comparison"

    target: str
    """Region that was learnt and tested on."""
    start: str
    source: str
    """Region that the start had learnt from, or the folder of a given one; empty for a random one."""
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


def distinct(rows: Sequence[InitRow], field: str) -> tuple[str, ...]:
    """Values of a field, each once, in order."""
    return tuple(dict.fromkeys(getattr(row, field) for row in rows))
