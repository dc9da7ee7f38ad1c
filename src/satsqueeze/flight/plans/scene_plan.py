"""How a scene is cut so that it fits into a given memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from satsqueeze.core.window import Window, cover, up
from satsqueeze.flight.plans.tiling import Span, Tile, spans


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step down an image, or down a panel of it."""

    read: Window
    """What is read for it; the rows of a panel follow one another, and a panel begins at row 0."""
    seen: Window
    """What it is computed from, in coordinates of the continued image; it is read by then."""


@dataclass(frozen=True, kw_only=True)
class Strip(Step):
    """A step that finishes something."""

    core: Window
    """What is finished with it, in coordinates of the image."""


@dataclass(frozen=True, kw_only=True)
class FittedPlan:
    """Of an image in a memory, whatever the way through it."""

    height: int
    width: int
    multiple: int
    """Sides of every input are multiples of this, in pixels."""
    cache_bytes: int
    """For blocks that more than one strip needs."""
    expected_bytes: int
    """Peak memory of the process, by the model."""
    streams: int = 1
    """Inputs that are computed at once."""

    @property
    def rows(self) -> int:
        """Height continued to a multiple, in pixels."""
        return up(self.height, self.multiple)

    @property
    def cols(self) -> int:
        """Width continued to a multiple, in pixels."""
        return up(self.width, self.multiple)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class PanelPlan(FittedPlan):
    """Panels of an image from left to right."""

    tile_width: int
    """Width of the inputs of the graph, in pixels."""
    panel_width: int
    """Columns after which a new panel begins, in pixels; the width of the image where there is one panel."""
    halo: int
    """Pixels around a core that its result may depend on, a multiple of ``multiple``."""

    @property
    def widest(self) -> int:
        """Width of the inputs of the graph, in pixels; that of most, where panels differ."""
        return max(min(self.tile_width, panel.seen) for panel in self.panels)

    @property
    def buffer_cols(self) -> int:
        """Columns of the image that are held at once, at most."""
        return max(min(panel.last, self.width) - panel.first for panel in self.panels)

    @cached_property
    def panels(self) -> tuple[Span, ...]:
        """Columns of each panel, in coordinates of the continued image.

        A panel is read up to where the next block of the file begins, so a seam costs one block more to decode.
        """
        ends = [*(up(end, self.multiple) for end in range(self.panel_width, self.width, self.panel_width)), self.cols]
        if len(ends) > 1 and ends[-1] - ends[-2] + 2 * self.halo < self.tile_width:
            del ends[-2]  # too narrow for a tile of its own
        inner = [end - self.halo for end in ends[:-1]]
        return tuple(
            Span(first=max(0, start - self.halo), last=last, start=start, stop=stop)
            for last, start, stop in zip(ends, [0, *inner], [*inner, self.cols], strict=True)
        )

    @property
    def across(self) -> float:
        """Columns that run through the graph, per column of the image."""
        seen = sum(
            _count(panel.seen, self.tile_width, self.halo) * min(self.tile_width, panel.seen) for panel in self.panels
        )
        return seen / self.cols

    @property
    def waiting(self) -> float:
        """Time that the tiles across a panel take, streams without one at their end counted in, per time without."""
        counts = [_count(panel.seen, self.tile_width, self.halo) for panel in self.panels]
        return sum(up(count, self.streams) for count in counts) / sum(counts)


@dataclass(frozen=True, kw_only=True)
class ScenePlan(PanelPlan):
    """Panels of an image from left to right, strips down each panel, and tiles across each strip."""

    strip: int
    """Rows that are finished at a time, in pixels."""

    @property
    def tile_height(self) -> int:
        """Height of the inputs of the graph, in pixels; the same for all."""
        return min(self.rows, self.strip + 2 * self.halo)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the inputs of the graph, in pixels; those of most, where panels differ."""
        return self.tile_height, self.widest

    @property
    def buffer_rows(self) -> int:
        """Rows of the image that are held at once, at most."""
        return min(self.height, self.tile_height)

    def strips(self) -> Iterator[Strip]:
        """From top to bottom of each panel; cores neither overlap nor leave gaps."""
        for panel in self.panels:
            left, width = panel.first, min(panel.last, self.width) - panel.first
            core_width = min(panel.stop, self.width) - panel.start
            read = 0
            for span in self._down():
                stop, end = min(span.last, self.height), min(span.stop, self.height)
                yield Strip(
                    read=Window(row=read, col=left, height=stop - read, width=width),
                    seen=Window(row=span.first, col=left, height=span.seen, width=panel.last - left),
                    core=Window(row=span.start, col=panel.start, height=end - span.start, width=core_width),
                )
                read = stop

    def tiles(self, strip: Strip) -> Iterator[Tile]:
        """Tiles of a strip from left to right, in coordinates of the continued image; all of one size."""
        seen, core = strip.seen, strip.core
        stop = up(core.stop_col, self.multiple)
        for span in spans(start=core.col, stop=stop, size=self.cols, length=self.tile_width, halo=self.halo):
            yield Tile(
                read=Window(row=seen.row, col=span.first, height=seen.height, width=span.seen),
                core=Window(
                    row=core.row,
                    col=span.start,
                    height=core.height,
                    width=min(span.stop, self.width) - span.start,
                ),
            )

    @property
    def overhead(self) -> float:
        """Pixels that run through the graph, per pixel of the image."""
        return _count(self.rows, self.tile_height, self.halo) * self.tile_height * self.across / self.rows

    def _down(self) -> Iterator[Span]:
        return spans(start=0, stop=self.rows, size=self.rows, length=self.tile_height, halo=self.halo)


@dataclass(frozen=True, kw_only=True)
class BlendPlan(FittedPlan):
    """Overlapping windows of one image whose results are averaged; the mask depends on their side."""

    side: int
    """Of the windows, in pixels, a multiple of ``multiple``."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the inputs of the graph, in pixels."""
        return min(self.side, self.rows), min(self.side, self.cols)

    @property
    def buffer_rows(self) -> int:
        """Rows of the image that are held at once, at most."""
        return min(self.height, self.side)

    @property
    def buffer_cols(self) -> int:
        """Columns of the image that are held at once."""
        return self.width

    def strips(self) -> Iterator[Strip]:
        """From top to bottom; each finishes the rows that no later window covers."""
        starts = sorted({window.row for window in self._cover()})
        read = 0
        for row, following in zip(starts, [*starts[1:], self.height], strict=True):
            stop = min(row + self.side, self.height)
            yield Strip(
                read=Window(row=read, col=0, height=stop - read, width=self.width),
                seen=Window(row=row, col=0, height=min(self.side, self.rows - row), width=self.cols),
                core=Window(row=row, col=0, height=following - row, width=self.width),
            )
            read = stop

    def windows(self, row: int) -> list[Window]:
        """Windows that start at a row, from left to right, in coordinates of the continued image."""
        return [window for window in self._cover() if window.row == row]

    def _cover(self) -> list[Window]:
        return cover(height=self.rows, width=self.cols, window=self.side)


def even(length: int, size: int, halo: int, multiple: int) -> int:
    """The shortest inputs that need no more of them along a side than inputs of ``length``, in pixels."""
    if length >= size:
        return size
    count = _count(size, length, halo)
    return min(length, up(-(-(size - 2 * halo) // count) + 2 * halo, multiple))


def _count(size: int, length: int, halo: int) -> int:
    return 1 if length >= size else -(-(size - 2 * halo) // (length - 2 * halo))
