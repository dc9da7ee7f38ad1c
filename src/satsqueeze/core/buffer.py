"""A buffer around foreground: masks widened by a distance on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE

_DIGITS = 6
"""Of a radius in pixels: sides of pixels come from square roots, and 30 m are 3 pixels of 10.000000000000002 m."""
LARGEST_RADIUS = 64.0
"""Pixels that a mask may be widened by; more would cost more than the network."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """A disk by which foreground grows over the background.

    Raises:
        SettingsError: no radius from 0 to ``LARGEST_RADIUS`` pixels.
    """

    radius: float
    """In pixels; below 1 nothing grows, since the next pixel's centre is that far away."""
    foreground: tuple[int, ...]
    """Class values that grow; where two meet the one named first wins."""

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise SettingsError(
                f"a buffer must be from 0 to {LARGEST_RADIUS:g} pixels wide, got {self.radius:g}; state a smaller one "
                "in metres"
            )

    @classmethod
    def on_ground(cls, width_m: float, gsd_m: float | None, foreground: Sequence[int]) -> Buffer:
        """A buffer of ``width_m`` metres where a pixel is ``gsd_m`` metres wide; none where that is not known."""
        radius = 0.0 if gsd_m is None else round(width_m / gsd_m, _DIGITS)
        return cls(radius=radius, foreground=tuple(foreground))

    @property
    def reach(self) -> int:
        """Pixels in a row or column that can influence a pixel."""
        return int(self.radius)

    @property
    def bytes_per_pixel(self) -> int:
        """Memory that :meth:`widen` takes beside the mask."""
        return self.reach + 4 if self.reach else 0

    def widen(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask whose background takes the class of foreground within ``radius`` pixels, from centre to centre.

        Args:
            mask: uint8 (H, W), class values, 255 = missing; missing pixels neither grow nor are grown over.

        Returns:
            uint8 (H, W): a new mask, or the same where nothing can grow.
        """
        if not self.reach:
            return mask
        background = mask != IGNORE
        for value in self.foreground:
            background &= mask != value
        found = mask.copy()
        for value in reversed(self.foreground):
            np.copyto(found, np.uint8(value), where=self._near(mask == value) & background)
        return found

    def _near(self, seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where a seed lies within the radius."""
        height, reach = seeds.shape[0], self.reach
        if not seeds.any():
            return seeds
        widened = [seeds]
        for step in range(1, reach + 1):
            wider = widened[-1].copy()
            wider[:, step:] |= seeds[:, :-step]
            wider[:, :-step] |= seeds[:, step:]
            widened.append(wider)
        near = widened[reach].copy()
        for down in range(1, min(reach, height - 1) + 1):
            row = widened[int(np.sqrt(self.radius**2 - down**2))]
            near[down:] |= row[:-down]
            near[:-down] |= row[down:]
        return near
