"""Where the strips of a scene go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.cog import CogLayout, CogWriter, class_tags, writing_cog
from satsqueeze.flight.palette import class_colours
from satsqueeze.flight.passage import StripResult

PROBABILITY_STEPS = 250
"""A probability of 1 in files of probabilities; 255 is nodata."""


@dataclass(frozen=True, kw_only=True)
class SceneFiles:
    """Files to write, and what they say."""

    mask: Path
    probabilities: Path | None
    height: int
    width: int
    georeference: Georeference | None
    classes: tuple[str, ...]
    description: str = "cloud mask"

    def mask_layout(self) -> CogLayout:
        """Of the mask."""
        return CogLayout(
            height=self.height,
            width=self.width,
            georeference=self.georeference,
            descriptions=(self.description,),
            colours=class_colours(self.classes),
            tags=class_tags(self.classes),
        )

    def probability_layout(self) -> CogLayout:
        """Of the probabilities, a band per class."""
        return CogLayout(
            height=self.height,
            width=self.width,
            georeference=self.georeference,
            descriptions=tuple(f"probability of {name}" for name in self.classes),
            scale=1 / PROBABILITY_STEPS,
        )


class FileSink:
    """Writes masks, probabilities where wanted, and a thinned-out mask for pictures."""

    def __init__(self, mask: CogWriter, probabilities: CogWriter | None, *, step: int) -> None:
        self._mask, self._probabilities, self._step = mask, probabilities, step
        self._small: list[NDArray[np.uint8]] = []

    def take(self, result: StripResult) -> None:
        """Write the next rows."""
        self._mask.write(result.mask[None])
        if self._step:
            self._small.append(result.mask[-result.window.row % self._step :: self._step, :: self._step].copy())
        if self._probabilities is not None and result.probabilities is not None:
            scaled = np.rint(result.probabilities * PROBABILITY_STEPS).astype(np.uint8)
            self._probabilities.write(np.where(result.mask == IGNORE, np.uint8(IGNORE), scaled))

    def small(self) -> NDArray[np.uint8]:
        """Every n-th row and column of the mask."""
        return np.concatenate(self._small)


@contextmanager
def file_sink(files: SceneFiles, *, step: int = 0) -> Iterator[FileSink]:
    """Yield a sink; all files appear when the block ends well, none otherwise.

    Args:
        files: what to write.
        step: distance of the pixels of the thinned-out mask; 0: none is kept.

    Raises:
        RunError: the disk is full, or a folder cannot be written.
    """
    with ExitStack() as stack:
        # Left in reverse order: the mask appears last, and with it the scene counts as done.
        mask = stack.enter_context(writing_cog(files.mask, files.mask_layout()))
        chances = None
        if files.probabilities is not None:
            chances = stack.enter_context(writing_cog(files.probabilities, files.probability_layout()))
        yield FileSink(mask, chances, step=step)
