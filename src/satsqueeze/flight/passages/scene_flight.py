"""One scene with all that its passage through a graph needs, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import StripReader
from satsqueeze.core.window import Window
from satsqueeze.flight.engines.engine import Engine
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.stages import StageTimer
from satsqueeze.flight.plans.row_flight import RowFlight
from satsqueeze.flight.plans.scene_plan import BlendPlan, ScenePlan
from satsqueeze.flight.plans.stream_plan import StreamPlan

UNDECIDED_MARGIN = 1e-4
"""Lead of the best class below which a float graph may decide otherwise in another tile: sums are rounded in another
order there. Such pixels are counted."""

COUNTED_ROWS = 32
"""That are counted at a time: they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class StripResult:
    """A finished part of the image."""

    window: Window
    mask: NDArray[np.uint8]
    """uint8 (h, w), 255 where missing."""
    probabilities: NDArray[np.float32] | None
    """float32 (K, h, w), 0 where missing; None if not asked for."""


class Sink(Protocol):
    """Takes the parts of a scene, which neither overlap nor leave gaps, in one thread."""

    def take(self, result: StripResult) -> None:
        """Take the next part."""
        ...


@dataclass(kw_only=True)
class SceneTally:
    """What is counted and timed while a scene passes."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """Pixels of each value 0..255 of the mask."""
    undecided: int = 0
    """Pixels whose best class leads by less than ``UNDECIDED_MARGIN``, where they are counted."""
    timer: StageTimer = field(default_factory=StageTimer)

    def count(self, mask: NDArray[np.uint8], classes: int) -> None:
        """Count the pixels of a mask (h, W) of that many classes."""
        # A few rows at a time stay in the processor's cache; comparing is faster than looking each value up.
        for row in range(0, mask.shape[0], COUNTED_ROWS):
            rows = mask[row : row + COUNTED_ROWS]
            for value in (*range(classes), IGNORE):
                self.counts[value] += np.count_nonzero(rows == value)

    def shares(self, classes: Sequence[str]) -> dict[str, float]:
        """Share of each class among the valid pixels, and of nodata among all."""
        pixels, missing = int(self.counts.sum()), int(self.counts[IGNORE])
        shares = {name: float(self.counts[value] / max(pixels - missing, 1)) for value, name in enumerate(classes)}
        return {**shares, "nodata": float(missing / max(pixels, 1))}


Plan = ScenePlan | StreamPlan | BlendPlan


def nowhere(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class SceneFlight:
    """One scene with all that its passage needs."""

    reader: StripReader
    engine: Engine
    plan: Plan
    classes: int
    """Number of classes."""
    sink: Sink
    samples: Sequence[Sample] = ()
    """Each sees every strip that is read."""
    rows: RowFlight | None = None
    """The graph that takes rows, for a plan of these."""
    probabilities: bool = False
    """Whether the sink wants them."""
    buffer: Buffer | None = None
    """By which foreground is widened, of a plan of tiles whose halo it fits into; None for none."""
    count_undecided: bool = False
    """Whether to count the pixels that a float graph decides narrowly."""
    advance: Callable[[int, int], None] = nowhere
    """Called with (pixels done, pixels in all)."""
    tally: SceneTally = field(default_factory=SceneTally)
