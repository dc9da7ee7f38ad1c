"""Images per second of a classification graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from satsqueeze.bench.machine import load_average
from satsqueeze.core.errors import SettingsError
from satsqueeze.flight.engines.engine import Engine

_BRIGHTEST = 0.6


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How many images the bare graph decides on in a second, on ready batches."""

    images_per_second: float
    """At the median time of a batch."""
    engine: str
    threads: int | None
    """Of one call; None where the engine chose."""
    batch: int
    """Images of a call."""
    height: int
    width: int
    repeats: int
    """Timed batches."""
    load_average: float | None
    """Of the machine before the measurement; far above ``threads`` means that others used it too. None where the system
    has no such figure."""


def measure_throughput(
    engine: Engine,
    *,
    channels: int,
    height: int,
    width: int,
    batch: int = 64,
    threads: int | None = None,
    repeats: int = 10,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Throughput:
    """Time batches of seeded random images.

    Args:
        engine: with the graph loaded.
        channels: bands of an image.
        height: of an image, in pixels.
        width: of an image, in pixels.
        batch: images of a call.
        threads: that the engine was opened with, for the record.
        repeats: timed batches.
        warmup: batches before these, not timed.
        clock: seconds; for tests.

    Raises:
        SettingsError: sizes or counts that cannot be.
    """
    if min(channels, height, width, batch, repeats) < 1 or warmup < 0:
        raise SettingsError(
            f"throughput needs images, a batch and repeats of at least 1, got {channels} x {height} x {width}, {batch} "
            f"and {repeats}, and {warmup} to warm up"
        )
    images = np.random.default_rng(0).random((batch, channels, height, width), dtype=np.float32)
    images *= np.float32(_BRIGHTEST)
    load = load_average()
    for _ in range(warmup):
        engine.run(images, probabilities=False)
    times = []
    for _ in range(repeats):
        start = clock()
        engine.run(images, probabilities=False)
        times.append(clock() - start)
    return Throughput(
        images_per_second=batch / float(np.median(times)),
        engine=engine.name,
        threads=threads,
        batch=batch,
        height=height,
        width=width,
        repeats=repeats,
        load_average=load,
    )
