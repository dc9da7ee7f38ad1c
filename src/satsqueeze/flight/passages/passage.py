"""The steps of one scene's passage through a graph, and the rows that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.margin import margin
from satsqueeze.core.window import Window
from satsqueeze.flight.engines.graph_output import GraphOutput
from satsqueeze.flight.passages.row_buffer import RowBuffer
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.scene_flight import COUNTED_ROWS, UNDECIDED_MARGIN, Plan, SceneFlight, StripResult
from satsqueeze.flight.plans.scene_plan import BlendPlan, ScenePlan, Step, Strip
from satsqueeze.flight.plans.stream_plan import StreamPlan
from satsqueeze.flight.plans.tiling import Tile, importance

S = TypeVar("S", bound=Step)


class Passage(Generic[S]):
    """Reads steps, keeps their rows, computes and writes; subclasses say how rows become results.

    Args:
        flight: the scene.
        samples: that see every strip.
        computing: threads, one for each input that the graph is given at once.
    """

    def __init__(self, flight: SceneFlight, samples: Sequence[Sample], computing: ThreadPoolExecutor) -> None:
        plan, reader = flight.plan, flight.reader
        self.flight = flight
        self._samples, self._computing = samples, computing
        self._timer = flight.tally.timer
        self._rows = RowBuffer(
            channels=len(reader.bands),
            height=plan.height,
            width=plan.width,
            dtype=reader.dtype,
            rows=plan.buffer_rows,
            cols=plan.buffer_cols,
        )
        self._inputs: SimpleQueue[NDArray[np.float32]] = SimpleQueue()
        for _ in range(plan.streams):
            self._inputs.put(np.empty((len(reader.bands), 0, 0), np.float32))

    def fit(self) -> None:
        """Make the engine ready for the inputs to come."""
        flight = self.flight
        if not isinstance(flight.plan, StreamPlan):
            shape = (1, len(flight.reader.bands), *flight.plan.input_size)
            flight.engine.fit(shape, probabilities=self.wants_probabilities)

    @property
    def wants_probabilities(self) -> bool:
        """Whether the engine is asked for probabilities."""
        return self.flight.probabilities or self.flight.count_undecided

    def steps(self) -> Iterator[S]:
        """From top to bottom."""
        raise NotImplementedError

    def read(self, step: S) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers and wholeness of the next rows; no others may be read before these are kept."""
        with self._timer("read"):
            return self.flight.reader.digital(step.read, self._rows.room(step.read, keep_from=step.seen.row))

    def keep(self, step: S, digital: NDArray[Any], whole: NDArray[np.bool_]) -> None:
        """Take rows in, and let go those that no core needs any more."""
        self._rows.extend(step.read, whole, keep_from=step.seen.row)
        for sample in self._samples:
            sample.look(step.read, digital, whole)

    def compute(self, step: S) -> StripResult | None:
        """What a step finishes, once its rows are in memory; None where later ones finish it."""
        raise NotImplementedError

    def result(self, core: Window, mask: NDArray[np.uint8], chances: NDArray[np.float32] | None) -> StripResult:
        """A finished part of the image."""
        return StripResult(window=core, mask=mask, probabilities=chances if self.flight.probabilities else None)

    def write(self, result: StripResult) -> None:
        """Count rows and hand them to the sink."""
        with self._timer("post"):
            self.flight.tally.count(result.mask, self.flight.classes)
        with self._timer("write"):
            self.flight.sink.take(result)

    def answer(self, window: Window) -> tuple[GraphOutput, NDArray[np.bool_]]:
        """What the graph says about a window, and what is missing there (h, w)."""
        with self.reflectance(window) as (batch, missing), self._timer("infer"):
            return self.flight.engine.run(batch, probabilities=self.wants_probabilities), missing

    @contextmanager
    def reflectance(self, window: Window) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        """Yield float32 (1, C, h, w) of a window, lent for the block, and what is missing there (h, w)."""
        batch = self._inputs.get()
        try:
            with self._timer("pre"):
                shape = (batch.shape[0], window.height, window.width)
                if batch.shape != shape:
                    batch = np.empty(shape, np.float32)
                missing = self._rows.reflectance(window, self.flight.reader, out=batch)
            yield batch[None], missing
        finally:
            self._inputs.put(batch)


class TiledPassage(Passage[Strip]):
    """Every pixel from one tile that holds its whole receptive field: no seam, whatever the tiles."""

    def steps(self) -> Iterator[Strip]:
        """See :class:`Passage`."""
        return _tiled(self.flight.plan).strips()

    def compute(self, step: Strip) -> StripResult:
        """See :class:`Passage`."""
        flight, core = self.flight, step.core
        mask = np.empty((core.height, core.width), np.uint8)
        shape = (flight.classes, core.height, core.width)
        chances = np.empty(shape, np.float32) if flight.probabilities else None

        def compute(tile: Tile) -> int:
            found = self.answer(tile.read)
            with self._timer("post"):
                place = slice(tile.core.col - core.col, tile.core.stop_col - core.col)
                into = None if chances is None else chances[:, :, place]
                return self._place(tile, *found, mask[:, place], into)

        flight.tally.undecided += sum(self._computing.map(compute, _tiled(flight.plan).tiles(step)))
        return self.result(core, mask, chances)

    def _place(
        self,
        tile: Tile,
        output: GraphOutput,
        missing: NDArray[np.bool_],
        mask: NDArray[np.uint8],
        chances: NDArray[np.float32] | None,
    ) -> int:
        """Put the core of a tile where it belongs; returns how many of its pixels are decided narrowly, if counted."""
        top, left = tile.core.row - tile.read.row, tile.core.col - tile.read.col
        inner = slice(top, top + tile.core.height), slice(left, left + tile.core.width)
        absent = missing[inner]
        mask[:] = self._decided(tile, output, missing)
        if output.probabilities is None:
            return 0
        found = output.probabilities[0][:, *inner]
        if chances is not None:
            chances[:] = found
            chances[:, absent] = 0
        return _undecided(found, absent) if self.flight.count_undecided else 0

    def _decided(self, tile: Tile, output: GraphOutput, missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Classes of the core of a tile, with the buffer around foreground."""
        buffer, plan, read, core = self.flight.buffer, self.flight.plan, tile.read, tile.core
        reach = 0 if buffer is None else buffer.reach
        # What is beyond the image is no ground, and nothing grows from there.
        top, left = max(core.row - reach, read.row), max(core.col - reach, read.col)
        bottom = min(core.stop_row + reach, read.stop_row, plan.height)
        right = min(core.stop_col + reach, read.stop_col, plan.width)
        seen = slice(top - read.row, bottom - read.row), slice(left - read.col, right - read.col)
        decided: NDArray[np.uint8] = np.where(missing[seen], np.uint8(IGNORE), output.mask[0][seen])
        if buffer is not None:
            decided = buffer.widen(decided)
        return decided[core.row - top : core.stop_row - top, core.col - left : core.stop_col - left]


class BlendedPassage(Passage[Strip]):
    """Probabilities averaged over overlapping windows, for networks that look at their whole input."""

    def __init__(self, flight: SceneFlight, samples: Sequence[Sample], computing: ThreadPoolExecutor) -> None:
        super().__init__(flight, samples, computing)
        plan = _blended(flight.plan)
        tall = min(plan.side, plan.rows)
        self._total = np.zeros((flight.classes, tall, plan.cols), np.float32)
        self._weight = np.zeros((tall, plan.cols), np.float32)
        self._missing = np.zeros((tall, plan.cols), np.bool_)

    @property
    def wants_probabilities(self) -> bool:
        """Always: they are what is averaged."""
        return True

    def steps(self) -> Iterator[Strip]:
        """See :class:`Passage`."""
        return _blended(self.flight.plan).strips()

    def compute(self, step: Strip) -> StripResult:
        """See :class:`Passage`."""
        flight, core = self.flight, step.core
        for window in _blended(flight.plan).windows(core.row):
            output, absent = self.answer(window)
            with self._timer("post"):
                place = Window(row=0, col=window.col, height=window.height, width=window.width).slices
                weight = importance(height=window.height, width=window.width)
                self._total[:, *place] += weight * np.asarray(output.probabilities)[0]
                self._weight[place] += weight
                self._missing[place] |= absent
        with self._timer("post"):
            rows = slice(0, core.height), slice(0, core.width)
            missing = self._missing[rows]
            chances: NDArray[np.float32] = self._total[:, *rows] / self._weight[rows]
            chances[:, missing] = 0
            mask = np.where(missing, IGNORE, chances.argmax(axis=0)).astype(np.uint8)
            if flight.count_undecided:
                flight.tally.undecided += _undecided(chances, missing)
            for sums in (self._total, self._weight[None], self._missing[None]):
                _shift(sums, core.height)
        return self.result(core, mask, chances)


def _shift(sums: NDArray[Any], rows: int) -> None:
    """Move (K, h, W) up in place; what comes in below is 0."""
    kept = max(0, sums.shape[1] - rows)
    if kept:
        sums[:, :kept] = sums[:, sums.shape[1] - kept :].copy()
    sums[:, kept:] = 0


def _tiled(plan: Plan) -> ScenePlan:
    if not isinstance(plan, ScenePlan):
        raise TypeError("a tiled passage needs a plan of tiles")
    return plan


def _blended(plan: Plan) -> BlendPlan:
    if not isinstance(plan, BlendPlan):
        raise TypeError("a blended passage needs a plan of windows")
    return plan


def _undecided(chances: NDArray[np.float32], missing: NDArray[np.bool_]) -> int:
    """How many pixels of (K, h, w) that are not missing (h, w) are decided narrowly."""
    # A few rows at a time: to find the two best takes a copy.
    parts = (slice(row, row + COUNTED_ROWS) for row in range(0, missing.shape[0], COUNTED_ROWS))
    return sum(int((~missing[rows] & (margin(chances[:, rows], axis=0) < UNDECIDED_MARGIN)).sum()) for rows in parts)
