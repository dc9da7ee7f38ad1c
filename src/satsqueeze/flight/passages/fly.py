"""A whole scene through a graph in bounded memory: strips in, strips out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import rasterio

from satsqueeze.core.errors import DataError
from satsqueeze.core.labels import IGNORE
from satsqueeze.flight.passages.passage import BlendedPassage, Passage, S, TiledPassage
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.scene_flight import SceneFlight, SceneTally
from satsqueeze.flight.passages.stream_passage import StreamPassage
from satsqueeze.flight.plans.scene_plan import ScenePlan
from satsqueeze.flight.plans.stream_plan import StreamPlan


def fly(flight: SceneFlight) -> SceneTally:
    """Run a scene: while one strip is computed the next is read and the one before is written.

    With a plan of tiles the mask does not depend on the plan: cores meet at multiples of the graph's pooling, every
    core sees its whole receptive field, and the border of the image is met where the image ends and nowhere else. A
    plan of rows gives the same mask.

    Raises:
        DataError: no pixel is valid, or the numbers cannot be reflectance (RadiometryError) or cannot be decoded
            (RasterError).
    """
    plan = flight.plan
    judge = Sample(height=plan.height, width=plan.width)
    with rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes):
        with _threads(1) as reading, _threads(plan.streams) as computing, _threads(1) as writing:
            _pass(_passage(flight, (judge, *flight.samples), computing), reading, writing)
        digital, whole = judge.collected()
        values, valid = flight.reader.reflectance(digital, whole)
        flight.reader.require_plausible(digital, values, valid)
    if not flight.tally.counts[:IGNORE].any():
        raise DataError(
            f"no pixel of the {plan.height} x {plan.width} px is valid (all nodata, NaN or saturated); fetch the scene "
            "again, or leave it out"
        )
    return flight.tally


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; what they have not begun is dropped when the block ends."""
    pool = ThreadPoolExecutor(max_workers=count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _passage(flight: SceneFlight, samples: Sequence[Sample], computing: ThreadPoolExecutor) -> Passage[Any]:
    """The way through the graph that the plan is made for."""
    if isinstance(flight.plan, StreamPlan):
        return StreamPassage(flight, samples, computing)
    kind = TiledPassage if isinstance(flight.plan, ScenePlan) else BlendedPassage
    return kind(flight, samples, computing)


def _pass(passage: Passage[S], reading: ThreadPoolExecutor, writing: ThreadPoolExecutor) -> None:
    plan = passage.flight.plan
    steps = list(passage.steps())
    ahead = reading.submit(passage.read, steps[0])
    passage.fit()
    written: Future[None] | None = None
    done = 0
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        passage.keep(step, *ahead.result())
        if following is not None:
            ahead = reading.submit(passage.read, following)
        result = passage.compute(step)
        if result is None:
            continue
        if written is not None:
            written.result()
        written = writing.submit(passage.write, result)
        done += result.window.height * result.window.width
        passage.flight.advance(done, plan.height * plan.width)
    if written is not None:
        written.result()
