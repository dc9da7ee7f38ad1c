"""A file that is read on another grid, and which pixels are computed there from something that is no measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from satsqueeze.core.window import Window
from satsqueeze.data.scene.channels import Channel
from satsqueeze.data.scene.raster_file import is_masked, read_channels, read_mask

_MOST_PIXELS = 2**21
"""Of a file that are looked at together: memory stays small whatever the grids."""
_ROUNDING = 1e-6
_SUPPORT = 1.0  # of bilinear interpolation, in pixels to either side


@dataclass(frozen=True, kw_only=True)
class Span:
    """Stretches of one side of a file, one for each pixel of the other grid."""

    first: NDArray[np.intp]
    stop: NDArray[np.intp]


class ResampledFile:
    """An open file beneath a grid whose axes are parallel to its own.

    Resampling hides what is no measurement: a saturated number and a bright one give a number in between.

    Args:
        dataset: open rasterio dataset, as it is stored.
        place: from (column, row) of the grid to (column, row) of the file; no rotation.
        known: nodata of each channel that has no part in any resampling already; None where there is none.
    """

    def __init__(self, dataset: Any, place: Affine, *, known: Sequence[float | None]) -> None:
        self.dataset, self.place, self.known = dataset, place, known
        self._masked = is_masked(dataset)

    def strike(self, valid: NDArray[np.bool_], window: Window, channels: Sequence[Channel]) -> None:
        """Make pixels invalid that lie beyond the file, or are computed from any that is saturated, nodata or masked.

        Args:
            valid: (h, w) of a window of the grid, changed in place.
            window: of the grid.
            channels: of this file.
        """
        width, height = self.dataset.width, self.dataset.height
        valid[_beyond(window.row, window.height, self.place.e, self.place.f, height)] = False
        valid[:, _beyond(window.col, window.width, self.place.a, self.place.c, width)] = False
        odd = any(channel.radiometry.saturated is not None or self._nodata(channel) for channel in channels)
        if not odd and not self._masked:
            return
        cols = self._spans(window.col, window.width, self.place.a, self.place.c, width)
        left, right = int(cols.first.min()), int(cols.stop.max())
        for row, count in self._portions(window, right - left):
            rows = self._spans(window.row + row, count, self.place.e, self.place.f, height)
            top, bottom = int(rows.first.min()), int(rows.stop.max())
            if bottom <= top or right <= left:
                continue
            bad = self._bad(Window(row=top, col=left, height=bottom - top, width=right - left), channels)
            if bad.any():
                valid[row : row + count] &= ~_any_within(bad, rows, cols, top=top, left=left)

    def _nodata(self, channel: Channel) -> set[float]:
        """Numbers that stand for nothing and that resampling takes for something."""
        tag, known = self.dataset.nodatavals[channel.index], self.known[channel.index]
        stated = {channel.radiometry.nodata, tag, *channel.nodata} - {known}
        return {number for number in stated if number is not None and not np.isnan(number)}

    def _bad(self, window: Window, channels: Sequence[Channel]) -> NDArray[np.bool_]:
        """Where any channel is no measurement, (h, w) of a window of the file."""
        part = RasterioWindow(window.col, window.row, window.width, window.height)
        bad = ~read_mask(self.dataset, part) if self._masked else np.zeros((window.height, window.width), np.bool_)
        for channel in channels:
            digital = read_channels(self.dataset, [channel.index + 1], window=part)[0]
            saturated = channel.radiometry.saturated
            if saturated is not None:
                bad |= digital >= saturated
            for nodata in self._nodata(channel):
                bad |= digital == nodata
        return bad

    def _portions(self, window: Window, width: int) -> Iterator[tuple[int, int]]:
        """First row and number of rows of parts of a window that need few pixels of the file."""
        step = max(1, int(_MOST_PIXELS / max(1.0, width * max(1.0, abs(self.place.e)))))
        for row in range(0, window.height, step):
            yield row, min(step, window.height - row)

    def _spans(self, start: int, count: int, scale: float, shift: float, size: int) -> Span:
        middle = _middle(start, count, scale, shift)
        if abs(scale) > 1 + _ROUNDING:  # an average of what a pixel covers
            first, stop = np.floor(middle - abs(scale) / 2 + _ROUNDING), np.ceil(middle + abs(scale) / 2 - _ROUNDING)
        else:  # of pixels whose centres are near
            reach = _SUPPORT - 0.5
            first, stop = np.ceil(middle - reach - 1 + _ROUNDING), np.ceil(middle + reach - _ROUNDING)
        return Span(first=np.clip(first, 0, size).astype(np.intp), stop=np.clip(stop, 0, size).astype(np.intp))


def _middle(start: int, count: int, scale: float, shift: float) -> NDArray[np.floating[Any]]:
    """Where the centres of so many pixels of the grid lie in the file, in its pixels."""
    middle: NDArray[np.floating[Any]] = scale * (np.arange(start, start + count) + 0.5) + shift
    return middle


def _beyond(start: int, count: int, scale: float, shift: float, size: int) -> NDArray[np.bool_]:
    """Which of them lie outside of it: what resampling puts there was never measured."""
    middle = _middle(start, count, scale, shift)
    beyond: NDArray[np.bool_] = (middle < -_ROUNDING) | (middle > size + _ROUNDING)
    return beyond


def _any_within(bad: NDArray[np.bool_], rows: Span, cols: Span, *, top: int, left: int) -> NDArray[np.bool_]:
    sums = np.zeros((bad.shape[0] + 1, bad.shape[1] + 1), np.int32)
    sums[1:, 1:] = bad.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    down = sums[rows.stop - top] - sums[rows.first - top]
    across: NDArray[Any] = down[:, cols.stop - left] - down[:, cols.first - left]
    return across > 0
