"""Every n-th pixel of an image that passes by in strips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.window import Window

SIDE = 512
"""Rows and columns of a sample by which radiometry is judged, at most."""


class Sample:
    """Collects every n-th row and column, counted from the corner of the image, whatever the strips.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        side: rows and columns to collect at most.
    """

    def __init__(self, *, height: int, width: int, side: int = SIDE) -> None:
        self.step = max(1, -(-max(height, width) // side))
        """Distance of the pixels collected."""
        self._digital: list[NDArray[Any]] = []
        self._whole: list[NDArray[np.bool_]] = []

    def look(self, window: Window, digital: NDArray[Any], whole: NDArray[np.bool_]) -> None:
        """Take what is wanted of the next rows: numbers (C, h, W) and wholeness (h, W)."""
        rows = slice(-window.row % self.step, None, self.step)
        self._digital.append(digital[:, rows, :: self.step].copy())
        self._whole.append(whole[rows, :: self.step].copy())

    def collected(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers (C, h, w) and wholeness (h, w)."""
        return np.concatenate(self._digital, axis=1), np.concatenate(self._whole)
