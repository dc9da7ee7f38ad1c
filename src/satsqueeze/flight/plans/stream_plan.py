"""How a scene passes through a graph a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from satsqueeze.core.window import Window, up
from satsqueeze.flight.engines.row_graph import Place
from satsqueeze.flight.plans.scene_plan import PanelPlan, Step
from satsqueeze.flight.plans.tiling import Span, spans


@dataclass(frozen=True, kw_only=True)
class Call:
    """Rows that go through the graph at once."""

    row: int
    rows: int
    place: Place


@dataclass(frozen=True, kw_only=True)
class StreamStep(Step):
    """Rows of a panel that are read at once, and go through the graph in several calls."""

    panel: int
    """Number of the panel, from left to right."""
    calls: tuple[Call, ...]
    core: Window | None
    """What is finished with them, in coordinates of the image; None while results lag behind."""


@dataclass(frozen=True, kw_only=True)
class StreamPlan(PanelPlan):
    """Panels of an image, and in each a few columns side by side from top to bottom; no row is computed twice."""

    strip: int
    """Rows that are read at a time, in pixels, a multiple of ``step``."""
    step: int
    """Rows that go through the graph at a time, in pixels, a multiple of ``multiple``."""
    delay: int
    """Rows by which results lag behind, in pixels."""
    reach: int = 0
    """Pixels around a result that are wanted with it."""

    @property
    def buffer_rows(self) -> int:
        """Rows of the image that are held at once, at most."""
        return max(sum(call.rows for call in calls) for calls in self._strips)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All calls down a panel, in coordinates of the continued image; the last takes what is too little for another.

        Where the image is continued by reflection, what is reflected is in the last, too.
        """
        count = max(1, (self.rows - 2 * self.multiple) // self.step)
        heights = [*[self.step] * (count - 1), self.rows - self.step * (count - 1)]
        middle: list[Place] = ["middle"] * (count - 2)
        places: list[Place] = ["first", *middle, "last"]
        return tuple(
            Call(row=number * self.step, rows=rows, place=place)
            for number, (rows, place) in enumerate(zip(heights, places, strict=True))
        )

    @cached_property
    def _strips(self) -> tuple[tuple[Call, ...], ...]:
        count = self.strip // self.step
        return tuple(self.calls[at : at + count] for at in range(0, len(self.calls), count))

    def steps(self) -> Iterator[StreamStep]:
        """From top to bottom of each panel."""
        for number, panel in enumerate(self.panels):
            width, finished = min(panel.last, self.width) - panel.first, 0
            core_width = min(panel.stop, self.width) - panel.start
            for calls in self._strips:
                row, stop = calls[0].row, calls[-1].row + calls[-1].rows
                ended = self.height if stop == self.rows else max(0, stop - self.delay - self.reach)
                yield StreamStep(
                    read=Window(row=row, col=panel.first, height=min(stop, self.height) - row, width=width),
                    seen=Window(row=row, col=panel.first, height=stop - row, width=panel.seen),
                    panel=number,
                    calls=calls,
                    core=Window(row=finished, col=panel.start, height=ended - finished, width=core_width)
                    if ended
                    else None,
                )
                finished = ended

    def columns(self, panel: int) -> tuple[Span, ...]:
        """Columns of a panel, in coordinates of the continued image; all of one width."""
        span = self.panels[panel]
        stop = up(min(span.stop, self.width), self.multiple)
        return tuple(spans(start=span.start, stop=stop, size=self.cols, length=self.tile_width, halo=self.halo))

    @property
    def overhead(self) -> float:
        """Pixels that run through the graph, per pixel of the image."""
        return self.across
