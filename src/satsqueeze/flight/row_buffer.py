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
    """Rows of numbers as stored, from ``first`` to before ``stop``, of one panel of an image.

    Args:
        channels: of the image.
        height: rows of the image, in pixels.
        width: columns of the image, in pixels.
        dtype: of the numbers.
        rows: to hold at most, in pixels.
        cols: columns of the widest panel, in pixels.
    """

    def __init__(self, *, channels: int, height: int, width: int, dtype: str, rows: int, cols: int) -> None:
        self._digital: NDArray[Any] = np.empty((channels, rows, cols), dtype)
        self._whole = np.empty((rows, cols), np.bool_)
        self._size = height, width
        self._left = 0
        self.first = self.stop = 0

    def extend(self, read: Window, digital: NDArray[Any], whole: NDArray[np.bool_], *, keep_from: int) -> None:
        """Append rows below the last; rows above ``keep_from`` are let go. Row 0 begins a panel anew.

        Raises:
            GridError: there is no room for them.
        """
        if read.row == 0:
            self.first = self.stop = 0
            self._left = read.col
        keep = slice(max(0, keep_from - self.first), self.stop - self.first)
        kept, new = keep.stop - keep.start, read.height
        if kept + new > self._whole.shape[0] or read.width > self._whole.shape[1]:
            raise GridError(
                f"a buffer of {self._whole.shape[0]} x {self._whole.shape[1]} px has no room for {kept} + {new} rows "
                f"of {read.width}"
            )
        if keep.start > 0:
            self._digital[:, :kept] = self._digital[:, keep].copy()
            self._whole[:kept] = self._whole[keep].copy()
        self._digital[:, kept : kept + new, : read.width] = digital
        self._whole[kept : kept + new, : read.width] = whole
        self.first, self.stop = self.stop - kept, self.stop + new

    def reflectance(self, window: Window, reader: StripReader, *, out: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Put reflectance (C, h, w) of a window of the image, continued by reflection, into ``out``.

        Returns:
            What is missing (h, w).
        """
        height, width = self._size
        if window.stop_row <= height and window.stop_col <= width:
            top, left = window.row - self.first, window.col - self._left
            rows, cols = slice(top, top + window.height), slice(left, left + window.width)
            digital, whole = self._digital[:, rows, cols], self._whole[rows, cols]
        else:
            down = reflected(window.row, window.stop_row, height) - self.first
            across = reflected(window.col, window.stop_col, width) - self._left
            digital = self._digital[np.ix_(np.arange(self._digital.shape[0]), down, across)]
            whole = self._whole[np.ix_(down, across)]
        _, valid = reader.reflectance(digital, whole, out=out)
        return np.logical_not(valid, out=valid)
