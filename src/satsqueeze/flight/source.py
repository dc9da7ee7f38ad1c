"""What a graph is given of an image: its bands by name, missing pixels as 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.window import Window
from satsqueeze.flight.plans.tiling import Mirror


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


def arrays_of(image: object, valid: object) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_] | None]:
    """An image and its validity as arrays; masked pixels become NaN, hence missing.

    Raises:
        GridError: not an array of numbers, or a validity that is none of truth values.
    """
    try:
        found, sound = np.asanyarray(image), None if valid is None else np.asarray(valid)
    except (TypeError, ValueError, RuntimeError) as error:
        raise GridError(f"an image must be a NumPy array, got {type(image).__name__} ({error})") from error
    if found.dtype.kind not in "fiub" or not isinstance(image, np.ndarray):
        raise GridError(
            f"an image must be a NumPy array of numbers, got {type(image).__name__} of {found.dtype}; convert it"
        )
    if sound is not None and sound.dtype != np.bool_:
        raise GridError(f"validity must be boolean like the image's pixels, got {sound.dtype} {sound.shape}")
    if isinstance(found, np.ma.MaskedArray):
        found = found.filled(np.nan) if found.dtype.kind == "f" else found.filled(0)
    return found, sound


def channels_of(image: NDArray[np.floating], have: Sequence[str], want: Sequence[str]) -> list[int]:
    """Positions of the wanted bands among those of an image (C, H, W).

    Raises:
        GridError: not an image with at least one pixel.
        BandError: a band is absent or repeated, or the names do not fit the channels.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise GridError(f"an image must be (C, H, W) with at least one pixel, got shape {image.shape}")
    require_names(have, image.shape[0], want)
    return band_positions(have, want)


def require_names(have: object, channels: int, want: Sequence[str]) -> None:
    """Refuse what is no list of one name per channel.

    Raises:
        BandError: another number of names, or names without an order.
    """
    count = len(have) if isinstance(have, Sequence | np.ndarray) and not isinstance(have, str) else 0
    if count != channels:
        raise BandError(
            f"the image has {channels} channels but {count} band names were given in order: {have!r}. Give a list with "
            f"one name per channel, in order, such as {list(want)}."
        )
