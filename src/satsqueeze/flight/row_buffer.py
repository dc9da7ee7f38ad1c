"""The rows of an image that are in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError
from satsqueeze.core.raster import StripReader
from satsqueeze.core.window import Window
from satsqueeze.flight.tiling import reflected


class RowBuffer:
    """Rows of numbers as stored, from ``first`` to before ``stop``, over the whole width.

    Args:
        channels: of the image.
        height: rows of the image, in pixels.
        width: columns of the image, in pixels.
        dtype: of the numbers.
        capacity: rows to hold at most, in pixels.
    """

    def __init__(self, *, channels: int, height: int, width: int, dtype: str, capacity: int) -> None:
        self._digital: NDArray[Any] = np.empty((channels, capacity, width), dtype)
        self._whole = np.empty((capacity, width), np.bool_)
        self._size = height, width
        self.first = self.stop = 0

    def extend(self, digital: NDArray[Any], whole: NDArray[np.bool_], *, keep_from: int) -> None:
        """Append rows below the last; rows above ``keep_from`` are let go.

        Raises:
            GridError: there is no room for them.
        """
        keep = slice(max(0, keep_from - self.first), self.stop - self.first)
        kept, new = keep.stop - keep.start, whole.shape[0]
        if kept + new > self._whole.shape[0]:
            raise GridError(f"a buffer of {self._whole.shape[0]} rows has no room for {kept} + {new}")
        if keep.start > 0:
            self._digital[:, :kept] = self._digital[:, keep].copy()
            self._whole[:kept] = self._whole[keep].copy()
        self._digital[:, kept : kept + new] = digital
        self._whole[kept : kept + new] = whole
        self.first, self.stop = self.stop - kept, self.stop + new

    def rows(self, rows: NDArray[np.intp] | slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers and wholeness of rows of the image."""
        inner = (
            slice(rows.start - self.first, rows.stop - self.first, rows.step)
            if isinstance(rows, slice)
            else rows - self.first
        )
        return self._digital[:, inner], self._whole[inner]

    def reflectance(self, window: Window, reader: StripReader, *, out: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Put reflectance (C, h, w) of a window of the image, continued by reflection, into ``out``.

        Returns:
            What is missing (h, w).
        """
        height, width = self._size
        if window.stop_row <= height and window.stop_col <= width:
            top, left = window.row - self.first, window.col
            rows, cols = slice(top, top + window.height), slice(left, left + window.width)
            digital, whole = self._digital[:, rows, cols], self._whole[rows, cols]
        else:
            down = reflected(window.row, window.stop_row, height) - self.first
            across = reflected(window.col, window.stop_col, width)
            digital = self._digital[np.ix_(np.arange(self._digital.shape[0]), down, across)]
            whole = self._whole[np.ix_(down, across)]
        _, valid = reader.reflectance(digital, whole, out=out)
        return np.logical_not(valid, out=valid)
