"""Every n-th pixel of an image that passes by in strips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError
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
        self._shape = -(-height // self.step), -(-width // self.step)
        self._digital: NDArray[Any] | None = None
        self._whole = np.zeros(self._shape, np.bool_)

    def look(self, window: Window, digital: NDArray[Any], whole: NDArray[np.bool_]) -> None:
        """Take what is wanted of a window: numbers (C, h, w) and wholeness (h, w)."""
        if self._digital is None:
            self._digital = np.zeros((digital.shape[0], *self._shape), digital.dtype)
        place, taken = thinned(window, self.step)
        self._digital[:, *place] = digital[:, *taken]
        self._whole[place] = whole[taken]

    def collected(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers (C, h, w) and wholeness (h, w).

        Raises:
            GridError: nothing was looked at.
        """
        if self._digital is None:
            raise GridError("a sample of an image was asked for before any of it was read; read it first")
        return self._digital, self._whole


def thinned(window: Window, step: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where every n-th pixel of a window lies in the thinned-out image, and in the window."""
    place, taken = [], []
    for start, stop in ((window.row, window.stop_row), (window.col, window.stop_col)):
        place.append(slice(-(-start // step), -(-stop // step)))
        taken.append(slice(-start % step, None, step))
    return (place[0], place[1]), (taken[0], taken[1])
