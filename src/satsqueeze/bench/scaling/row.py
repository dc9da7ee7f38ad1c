"""One line per trial of a scaling rule: what was tried, what it costs, how well it does on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satsqueeze.bench.row_file import Row
from satsqueeze.nets.zoo.scaling import CompoundScaling


class ScalingRow(Row):
    """One training; None means that it failed."""

    called = "trial of a rule"
    made_by = "the search"

    depth: float
    """alpha."""
    width: float
    """beta."""
    resolution: float
    """gamma."""
    seed: int
    fingerprint: str
    """Hash of data, split, network and settings; a rerun with the same one is skipped."""
    failure: str = ""
    blocks: tuple[int, ...] = ()
    """Of each group."""
    widths: tuple[int, ...] = ()
    """Channels of each group."""
    side: int | None = None
    """Pixels at which the network works."""
    parameters: int | None = None
    macs: int | None = None
    """Multiply-accumulates for one image of ``size``, after all rounding."""
    size: int | None = None
    """Height and width of the images, in pixels."""
    metric: str = ""
    """Of the score: ``accuracy`` or ``mean_average_precision``."""
    validation: float | None = None
    """Score of the last weights on images that were not trained on."""
    epochs: int | None = None
    images: int | None = None
    """Images that training saw, each as often as it was seen."""
    train_minutes: float | None = None

    @property
    def scaling(self) -> CompoundScaling:
        """The rule that was tried."""
        return CompoundScaling(depth=self.depth, width=self.width, resolution=self.resolution)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A rule with its mean score over seeds."""

    scaling: CompoundScaling
    score: float
    spread: float | None
    """Standard deviation over seeds (n - 1); None for one."""
    seeds: int
    row: ScalingRow
    """Of its first seed."""


def ranked(rows: Sequence[ScalingRow]) -> tuple[Ranked, ...]:
    """Rules by their mean validation score, the best first; of equals, the cheaper one. Failures are left out."""
    groups: dict[CompoundScaling, list[ScalingRow]] = {}
    for row in rows:
        if row.validation is not None:
            groups.setdefault(row.scaling, []).append(row)
    found = []
    for scaling, members in groups.items():
        scores = [row.validation or 0.0 for row in members]
        spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
        found.append(
            Ranked(scaling=scaling, score=float(np.mean(scores)), spread=spread, seeds=len(scores), row=members[0])
        )
    return tuple(sorted(found, key=lambda one: (-one.score, one.row.macs or 0)))
