"""What a graph is given of an image: its bands by name, missing pixels as 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.window import Window
from satsqueeze.flight.tiling import Mirror


@dataclass(frozen=True)
class Source:
    """Reads inputs of the graph from an image."""

    image: NDArray[np.floating]
    """Reflectance (C, H, W)."""
    channels: list[int]
    """Those that the graph takes, in its order."""
    valid: NDArray[np.bool_] | None
    """(H, W), True = valid; None: every finite pixel is."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[1], self.image.shape[2]

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Values (C, h, w), 0 where missing, and (h, w) with True = missing."""
        values = Mirror(self.image).read(window, self.channels)
        with np.errstate(over="ignore", invalid="ignore"):
            # One addition per value finds out whether any needs a closer look.
            finite = bool(np.isfinite(values.sum()))
        missing = np.zeros(values.shape[1:], np.bool_) if finite else np.logical_not(np.isfinite(values).all(axis=0))
        if self.valid is not None:
            missing |= Mirror(~self.valid[None]).read(window, [0])[0] > 0
        if missing.any():
            values = np.where(missing, np.float32(0), values)
        return values, missing


def channels_of(image: NDArray[np.floating], have: Sequence[str], want: Sequence[str]) -> list[int]:
    """Positions of the wanted bands among those of an image (C, H, W).

    Raises:
        GridError: not an image with at least one pixel.
        BandError: a band is absent or repeated, or the names do not fit the channels.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise GridError(f"an image must be (C, H, W) with at least one pixel, got shape {image.shape}")
    if isinstance(have, str) or len(have) != image.shape[0]:
        raise BandError(
            f"the image has {image.shape[0]} channels but {0 if isinstance(have, str) else len(have)} band names were "
            f"given: {have!r}. Give a list with one name per channel, in order, such as {list(want)}."
        )
    return band_positions(have, want)
