"""Tiles that do not show: how an image of any size becomes inputs of a graph, and the results one array again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.count import is_count
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.window import Window, up


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One input of the graph, in coordinates of the padded image."""

    read: Window
    """What the graph sees: the core and its halo, cut off at the border of the padded image."""
    core: Window
    """What is kept of the result; cores neither overlap nor leave gaps."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of one side of an image, in pixels from its start."""

    first: int
    """Where what is read begins."""
    last: int
    """Before where it ends."""
    start: int
    """Where what is kept begins."""
    stop: int
    """Before where it ends."""

    @property
    def seen(self) -> int:
        """Pixels that are read."""
        return self.last - self.first

    @property
    def kept(self) -> int:
        """Pixels that are kept."""
        return self.stop - self.start


def spans(*, start: int, stop: int, size: int, length: int, halo: int) -> Iterator[Span]:
    """Stretches whose kept parts cover ``start`` to ``stop`` of a side once, all read at one length.

    An engine whose inputs are all of one shape allocates once; so the last one moves back rather than shrinks.

    Args:
        start: of what is covered, in pixels.
        stop: of what is covered, in pixels.
        size: of the side, in pixels; nothing is read beyond it.
        length: of a stretch that is read, in pixels, more than two halos; less where the side is shorter.
        halo: pixels on both sides of a kept part that are read too, except beyond the ends of the side.
    """
    first, last = max(0, start - halo), min(size, stop + halo)
    length, done, at = min(length, last - first), start, first
    while done < stop:
        at = min(at, last - length)
        end = stop if at + length == last else at + length - halo
        yield Span(first=at, last=at + length, start=done, stop=end)
        done, at = end, end - halo


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How to cut images for a network that looks ``halo`` pixels around and pools by ``multiple``.

    Cores start at multiples of ``multiple``, so pooling cells lie in a tile as they lie in the whole image; with a
    halo of at least the receptive field every pixel sees the same surroundings either way.
    """

    window: int
    """Images up to this size on both sides are run in one piece, in pixels; larger ones by tiles of about this size."""
    halo: int
    """Pixels on each side that can influence a result."""
    multiple: int
    """Sides of every input are multiples of this, in pixels."""

    def __post_init__(self) -> None:
        if not is_count(self.window) or self.halo < 0 or self.multiple < 1:
            raise SettingsError(
                f"tiling needs window and multiple >= 1 pixel and halo >= 0 pixels, got {self.window!r}, "
                f"{self.multiple}, {self.halo}; give whole numbers"
            )

    def padded(self, size: int) -> int:
        """The next multiple of ``multiple``, in pixels."""
        return up(size, self.multiple)

    @property
    def core(self) -> int:
        """Side of a core in pixels: what the halo leaves of the window, but never less than half of it."""
        halo = self.padded(self.halo)
        return max(self.multiple, (max(self.window - 2 * halo, self.window // 2)) // self.multiple * self.multiple)

    def tiles(self, *, height: int, width: int) -> Iterator[Tile]:
        """Tiles that cover an image of this size, row by row; a single one where it fits the window."""
        rows, cols = self.padded(height), self.padded(width)
        if max(height, width) <= self.window:
            whole = Window(row=0, col=0, height=rows, width=cols)
            yield Tile(read=whole, core=whole)
            return
        for down in self._spans(rows):
            for across in self._spans(cols):
                yield Tile(
                    read=Window(row=down.first, col=across.first, height=down.seen, width=across.seen),
                    core=Window(row=down.start, col=across.start, height=down.kept, width=across.kept),
                )

    def _spans(self, size: int) -> Iterator[Span]:
        halo = self.padded(self.halo)
        for start in range(0, size, self.core):
            stop = min(start + self.core, size)
            yield Span(first=max(0, start - halo), last=min(size, stop + halo), start=start, stop=stop)


@dataclass(frozen=True)
class Mirror:
    """Reads windows of an image that is continued below and to the right by reflection, without copying it whole."""

    image: NDArray[np.generic]
    """(C, H, W)."""

    def read(self, window: Window, channels: list[int]) -> NDArray[np.float32]:
        """Float32 (len(channels), height, width), perhaps a view of the image; a side of one pixel is repeated."""
        _, height, width = self.image.shape
        if window.stop_row <= height and window.stop_col <= width:
            rows, cols = window.slices
            part = self.image[:, rows, cols]
            if channels != list(range(len(part))):
                part = part[channels]
        else:
            rows_read = reflected(window.row, window.stop_row, height)
            cols_read = reflected(window.col, window.stop_col, width)
            part = self.image[np.ix_(np.asarray(channels), rows_read, cols_read)]
        return np.ascontiguousarray(part, dtype=np.float32)


def continued(values: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """Images (..., h, w), continued below and to the right by reflection to sides that are multiples of a number."""
    down, across = (reflected(0, up(size, multiple), size) for size in values.shape[-2:])
    return np.ascontiguousarray(values[..., down, :][..., across])


def reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Positions start..stop along a side of ``size`` pixels that is continued by reflection; one pixel is repeated."""
    positions = np.arange(start, stop)
    period = max(1, 2 * (size - 1))
    folded = positions % period
    return np.minimum(folded, period - folded) if size > 1 else np.zeros_like(positions)


def importance(*, height: int, width: int) -> NDArray[np.float32]:
    """Weights (height, width) of a tile's pixels where tiles are blended: a Gaussian with sigma = size / 8.

    Source: the sliding window of nnU-Net (Isensee et al. 2021, methods). Weights are at least 1e-3, so that every
    pixel of the image gets some.
    """
    lines = [np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / max(size / 8, 1e-6)) ** 2) for size in (height, width)]
    weights: NDArray[np.float32] = np.maximum(np.outer(*lines), 1e-3).astype(np.float32)
    return weights
