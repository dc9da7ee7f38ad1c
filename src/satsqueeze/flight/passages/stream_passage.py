"""A scene through a graph a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.flight.passages.passage import Passage
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.scene_flight import SceneFlight, StripResult
from satsqueeze.flight.plans.stream_plan import StreamPlan, StreamStep
from satsqueeze.flight.plans.tiling import Span


class StreamPassage(Passage[StreamStep]):
    """Columns side by side, each from top to bottom; what a row needs of those above it is carried.

    Args:
        flight: the scene, with a plan for its rows and the graph that takes them.
        samples: that see every step.
        computing: threads, one for each column that is computed at once.
    """

    def __init__(self, flight: SceneFlight, samples: Sequence[Sample], computing: ThreadPoolExecutor) -> None:
        super().__init__(flight, samples, computing)
        if not isinstance(flight.plan, StreamPlan) or flight.rows is None:
            raise TypeError("rows need a plan for them and a graph that takes them")
        self._plan, self._graph = flight.plan, flight.rows.graph
        self._columns: list[_Column] = []

    def fit(self) -> None:
        """See :class:`Passage`; a graph that takes rows takes any."""

    def steps(self) -> Iterator[StreamStep]:
        """See :class:`Passage`."""
        return self._plan.steps()

    def compute(self, step: StreamStep) -> StripResult | None:
        """See :class:`Passage`."""
        if step.calls[0].row == 0:
            self._columns = [_Column(span, self._plan, self.flight.buffer) for span in self._plan.columns(step.panel)]
        core = step.core
        mask = np.empty((0, 0) if core is None else (core.height, core.width), np.uint8)

        def advance(column: _Column) -> None:
            self._advance(column, step, mask)

        list(self._computing.map(advance, self._columns))
        return None if core is None else self.result(core, mask, None)

    def _advance(self, column: _Column, step: StreamStep, mask: NDArray[np.uint8]) -> None:
        """Rows of one column; what they finish goes into the mask (h, w) of the step."""
        span = column.span
        for call in step.calls:
            window = Window(row=call.row, col=span.first, height=call.rows, width=span.seen)
            with self.reflectance(window) as (batch, missing), self._timer("infer"):
                decided, column.carried = self._graph.run(call.place, batch, column.carried)
            with self._timer("post"):
                column.take(decided, missing)
        if step.core is not None:
            left = step.core.col
            with self._timer("post"):
                place = slice(span.start - left, min(span.stop, self._plan.width) - left)
                mask[:, place] = column.finished(step.core)


class _Column:
    """What is known of one column of a panel.

    Args:
        span: its columns.
        plan: of the scene.
        buffer: by which foreground grows; None for none.
    """

    def __init__(self, span: Span, plan: StreamPlan, buffer: Buffer | None) -> None:
        self.span, self._plan, self._buffer = span, plan, buffer
        self.carried: list[NDArray[Any]] = []
        """Left by the graph for its next call."""
        self._decided = np.empty((0, span.seen), np.uint8)
        self._first = 0
        """Row of the image in which what is decided begins."""
        self._missing = np.empty((0, span.seen), np.bool_)
        """From the row on in which what is not decided begins."""

    def take(self, decided: NDArray[np.uint8], missing: NDArray[np.bool_]) -> None:
        """Take classes (h, w) of the next rows, and which pixels (h', w) are missing of those that went in."""
        self._missing = np.concatenate([self._missing, missing])
        gone = self._missing[: len(decided)]
        self._decided = np.concatenate([self._decided, np.where(gone, np.uint8(IGNORE), decided)])
        self._missing = self._missing[len(decided) :]

    def finished(self, core: Window) -> NDArray[np.uint8]:
        """Classes of some rows of the image and of the column's own columns, with the buffer around foreground."""
        plan, span = self._plan, self.span
        reach = plan.reach
        # What is beyond the image is no ground, and nothing grows from there.
        top, bottom = max(0, core.row - reach), min(core.stop_row + reach, plan.height)
        left, right = max(0, span.start - reach), min(span.stop + reach, plan.width)
        seen = self._decided[top - self._first : bottom - self._first, left - span.first : right - span.first]
        widened = seen if self._buffer is None else self._buffer.widen(seen)
        kept = max(0, core.stop_row - reach)
        self._decided, self._first = self._decided[kept - self._first :], kept
        stop = min(span.stop, plan.width)
        return widened[core.row - top : core.stop_row - top, span.start - left : stop - left]
