"""One line per training of a transfer experiment, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satsqueeze.bench.classes.row import Metrics
from satsqueeze.bench.machine import Machine
from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.row_file import Row


class TransferRow(Row):
    """What came of one start, label fraction and seed, at the learning rate that was chosen for them."""

    called = "row of a transfer experiment"
    made_by = "the experiment"

    start: str
    fraction: float
    """Share of the training labels."""
    seed: int
    fingerprint: str
    """Hash of all that the figures depend on."""
    model: str
    """Name of the zoo."""
    freeze_epochs: int
    labels: int
    """Images with labels that it learnt from."""
    rate: float
    """Learning rate, chosen by the mean validation score over seeds."""
    tried: dict[str, float]
    """Mean validation score over seeds of every learning rate, the same ones for every start."""
    validation: float
    """Score of the kept weights on validation images: accuracy, or mean average precision with several labels."""
    validation_images: int
    test: Metrics
    """On images on which nothing was chosen."""
    test_images: int
    epochs: int
    steps: int
    seconds: float
    """Of this training."""
    bands: dict[str, int]
    """Number of bands of the first layer that were matched, averaged and fresh."""
    source: dict[str, float]
    """Where weights were transferred: the source's training images, its validation score, and the images that were left
    out of it because the target shows the same places."""
    machine: Machine | None = None

    @property
    def key(self) -> tuple[str, float, int]:
        """What a rerun replaces."""
        return self.start, self.fraction, self.seed


def transfer_table(rows: Sequence[TransferRow]) -> str:
    """Test accuracy by labels and start as a Markdown table: mean over seeds, and the standard deviation (n - 1)."""
    starts = tuple(dict.fromkeys(row.start for row in rows))
    lines = []
    for fraction in sorted({row.fraction for row in rows}):
        alike = [row for row in rows if row.fraction == fraction]
        cells = [_score([row for row in alike if row.start == start]) for start in starts]
        lines.append((f"{alike[0].labels} ({100 * fraction:g} %)", *cells))
    return markdown(("labels", *starts), lines)


def _score(rows: Sequence[TransferRow]) -> str:
    values = [100 * value for row in rows if (value := row.test["accuracy"]) is not None]
    if not values:
        return "-"
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread} % ({len(values)} seeds)"
