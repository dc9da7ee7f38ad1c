"""Where the parts of a scene go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.outputs.cog import CogLayout, CogWriter, class_tags, writing_cog
from satsqueeze.flight.outputs.palette import class_colours
from satsqueeze.flight.passages.sample import thinned
from satsqueeze.flight.passages.scene_flight import StripResult

PROBABILITY_STEPS = 250
"""A probability of 1 in files of probabilities; 255 is nodata."""
_ROWS = 64
"""That are scaled at a time: they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class SceneFiles:
    """Files to write, and what they say."""

    mask: Path
    probabilities: Path | None
    height: int
    width: int
    georeference: Georeference | None
    classes: tuple[str, ...]
    description: str = "class mask"
    """Of the mask's band."""

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

    def __init__(self, mask: CogWriter, probabilities: CogWriter | None, *, small: ThinMask | None) -> None:
        self._mask, self._probabilities, self._small = mask, probabilities, small

    def take(self, result: StripResult) -> None:
        """Write a part."""
        self._mask.write(result.mask[None], result.window)
        if self._small is not None:
            self._small.look(result)
        if self._probabilities is not None and result.probabilities is not None:
            self._probabilities.write(_scaled(result.probabilities, result.mask), result.window)

    def small(self) -> NDArray[np.uint8]:
        """Every n-th row and column of the mask.

        Raises:
            SettingsError: none was asked for.
        """
        if self._small is None:
            raise SettingsError("no thinned-out mask was kept; open the sink with a step above 0")
        return self._small.values


class ThinMask:
    """Every n-th row and column of a mask.

    Args:
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        step: distance of the pixels that are kept.
    """

    def __init__(self, *, height: int, width: int, step: int) -> None:
        self._step = step
        self.values = np.full((-(-height // step), -(-width // step)), IGNORE, np.uint8)
        """uint8 (h, w), 255 where nothing was seen."""

    def look(self, result: StripResult) -> None:
        """Take what is wanted of a part."""
        place, taken = thinned(result.window, self._step)
        self.values[place] = result.mask[taken]


def _scaled(chances: NDArray[np.float32], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Probabilities (K, h, w) as whole numbers, 255 where the mask (h, w) has no data."""
    scaled = np.empty(chances.shape, np.uint8)
    for band, values in zip(scaled, chances, strict=True):
        for row in range(0, mask.shape[0], _ROWS):
            rows = slice(row, row + _ROWS)
            band[rows] = np.rint(values[rows] * PROBABILITY_STEPS)
    scaled[:, mask == IGNORE] = IGNORE
    return scaled


@contextmanager
def file_sink(files: SceneFiles, *, step: int = 0, threads: int = 1) -> Iterator[FileSink]:
    """Yield a sink; all files appear when the block ends well, none otherwise.

    Args:
        files: what to write.
        step: distance of the pixels of the thinned-out mask; 0: none is kept.
        threads: that finish the files.

    Raises:
        RunError: the disk is full, or a folder cannot be written.
    """
    with ExitStack() as stack:
        # Left in reverse order: the mask appears last, and with it the scene counts as done.
        mask = stack.enter_context(writing_cog(files.mask, files.mask_layout(), threads=threads))
        chances = None
        if files.probabilities is not None:
            layout = files.probability_layout()
            chances = stack.enter_context(writing_cog(files.probabilities, layout, threads=threads))
        small = ThinMask(height=files.height, width=files.width, step=step) if step else None
        yield FileSink(mask, chances, small=small)
