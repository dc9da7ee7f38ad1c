"""The rows of an image that are in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError
from satsqueeze.core.raster import StripReader
from satsqueeze.core.window import Window
from satsqueeze.flight.plans.tiling import reflected


class RowBuffer:
    """Rows of numbers as stored, from ``first`` on, of one panel of an image.

    There is room for as many again: what is read next goes there, below the place of rows that stay, and nothing is
    moved but these.

    Args:
        channels: of the image.
        height: rows of the image, in pixels.
        width: columns of the image, in pixels.
        dtype: of the numbers.
        rows: to hold at most, in pixels.
        cols: columns of the widest panel, in pixels.
    """

    def __init__(self, *, channels: int, height: int, width: int, dtype: str, rows: int, cols: int) -> None:
        self._digital, self._next = (np.empty((channels, rows, cols), dtype) for _ in range(2))
        self._whole, self._next_whole = (np.empty((rows, cols), np.bool_) for _ in range(2))
        self._size = height, width
        self._left = 0
        self.first = 0

    def room(self, read: Window, *, keep_from: int) -> NDArray[Any]:
        """Where the numbers (C, h, w) of a window belong that follows the rows from ``keep_from`` on.

        These rows are copied now, while others compute from them, so that :meth:`extend` has nothing to move.

        Raises:
            GridError: there is no room for them.
        """
        kept, (_, rows, cols) = read.row - keep_from, self._next.shape
        if kept + read.height > rows or read.width > cols:
            raise GridError(
                f"a buffer of {rows} x {cols} px has no room for {kept} + {read.height} rows of {read.width}"
            )
        if kept:
            held = slice(keep_from - self.first, read.row - self.first)
            self._next[:, :kept] = self._digital[:, held]
            self._next_whole[:kept] = self._whole[held]
        return self._next[:, kept : kept + read.height, : read.width]

    def extend(self, read: Window, whole: NDArray[np.bool_], *, keep_from: int) -> None:
        """Take in what was put into :meth:`room`; rows above ``keep_from`` are let go. Row 0 begins a panel anew."""
        kept = read.row - keep_from
        self._next_whole[kept : kept + read.height, : read.width] = whole
        self._digital, self._next = self._next, self._digital
        self._whole, self._next_whole = self._next_whole, self._whole
        self._left, self.first = read.col, keep_from

    def reflectance(self, window: Window, reader: StripReader, *, out: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Put reflectance (C, h, w) of a window of the image, continued by reflection, into ``out``.

        Returns:
            What is missing (h, w).

        Raises:
            GridError: the window is too narrow to hold what it continues.
        """
        height, width = self._size
        down = reflected(window.row, window.stop_row, height) - window.row
        across = reflected(window.col, window.stop_col, width) - window.col
        if min(down.min(), across.min()) < 0:
            raise GridError(f"{window} of an image of {height} x {width} px does not hold the pixels that continue it")
        tall, wide = min(window.stop_row, height) - window.row, min(window.stop_col, width) - window.col
        top, left = window.row - self.first, window.col - self._left
        rows, cols = slice(top, top + tall), slice(left, left + wide)
        missing = np.empty(out.shape[1:], np.bool_)
        _, valid = reader.reflectance(self._digital[:, rows, cols], self._whole[rows, cols], out=out[:, :tall, :wide])
        np.logical_not(valid, out=missing[:tall, :wide])
        for values in (*out, missing):
            values[:tall, wide:] = values[:tall, across[wide:]]
            values[tall:] = values[down[tall:]]
        return missing
