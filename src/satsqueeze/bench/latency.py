"""How long a prediction takes, per million pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.machine import load_average
from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.runtime import FlightModel

Predict = Callable[[NDArray[np.float32]], object]
"""Takes float32 reflectance (C, H, W)."""
Scope = Literal["predict", "network"]
_BRIGHTEST = 0.6


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Wall-clock time of one image, divided by its size."""

    p50_s_per_mpixel: float
    """Median, in seconds per million pixels of input."""
    p95_s_per_mpixel: float
    """95th percentile, likewise."""
    scope: Scope
    """``network``: the graph on a ready batch of one. ``predict``: reflectance to mask, checks and tiling included."""
    engine: str
    threads: int | None
    """Threads of one prediction; None where the engine chose."""
    height: int
    """Of the image, in pixels."""
    width: int
    channels: int
    repeats: int
    """Timed predictions, one image each."""
    load_average: float | None
    """Of the machine before the measurement; far above ``threads`` means that others used it too. None where the system
    has no such figure."""

    @property
    def mpixels_per_second(self) -> float:
        """Throughput at the median."""
        return 1 / self.p50_s_per_mpixel

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LatencySettings:
    """How packages are timed, the same for all that are compared."""

    height: int = 512
    """Of the image, pixels."""
    width: int = 512
    """Of the image, pixels."""
    threads: int | None = 1
    """Processor threads; null leaves it to the engine."""
    repeats: int = 20
    """Timed predictions, of which median and 95th percentile are told."""
    warmup: int = 3
    """Predictions before that, which are not timed."""
    engine: Literal["auto", "onnx", "openvino"] = "auto"
    """`auto` is that of the package's default graph."""


def measure_latency(
    model: FlightModel | Predict,
    settings: LatencySettings,
    *,
    channels: int | None = None,
    scope: Scope = "predict",
    engine: str = "",
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time predictions of one seeded random image.

    Args:
        model: an opened flight package, or any function of an image (C, H, W).
        settings: size and counts; threads and engine that the model was opened with are for others to see to.
        channels: of the image; by default as many as the package has bands.
        scope: ``network`` times the bare graph of a flight package; a function is always timed whole.
        engine: for the record; by default the package's.
        clock: seconds; for tests.

    Raises:
        SettingsError: sizes or counts that cannot be, or ``channels`` not given for a function.
        GridError: ``network`` with a size that the graph does not take.
    """
    if isinstance(model, FlightModel):
        channels = channels or len(model.bands)
        engine = engine or model.engine.name
    height, width, repeats, warmup = settings.height, settings.width, settings.repeats, settings.warmup
    if channels is None or min(height, width, channels, repeats) < 1 or warmup < 0:
        raise SettingsError(
            f"latency needs a size, channels and repeats of at least 1, got {height} x {width} px, {channels} "
            f"channels, {repeats} repeats and {warmup} to warm up"
        )
    image = np.random.default_rng(0).random((channels, height, width), dtype=np.float32) * np.float32(_BRIGHTEST)
    work = _work(model, image, scope)
    load = load_average()
    for _ in range(warmup):
        work()
    times = np.array([_timed(work, clock) for _ in range(repeats)]) / (height * width / 1e6)
    return Latency(
        p50_s_per_mpixel=float(np.percentile(times, 50)),
        p95_s_per_mpixel=float(np.percentile(times, 95)),
        scope=scope if isinstance(model, FlightModel) else "predict",
        engine=engine or "python",
        threads=settings.threads,
        height=height,
        width=width,
        channels=channels,
        repeats=repeats,
        load_average=load,
    )


def measure_package(
    path: Path, settings: LatencySettings, *, precision: Literal["auto", "fp32", "int8"] = "auto"
) -> tuple[Latency, Latency]:
    """Time the bare network and the whole prediction of a flight package.

    Raises:
        PackageError: the package cannot be trusted or opened.
        GridError: a size that the graph does not take.
    """
    model = open_package(path, engine=settings.engine, precision=precision, threads=settings.threads)
    network, predict = (measure_latency(model, settings, scope=scope) for scope in ("network", "predict"))
    return network, predict


def _work(model: FlightModel | Predict, image: NDArray[np.float32], scope: Scope) -> Callable[[], object]:
    if not isinstance(model, FlightModel):
        return lambda: model(image)
    if scope == "predict":
        return lambda: model.predict(image, model.bands)
    multiple = model.manifest.size_multiple
    if any(size % multiple for size in image.shape[1:]):
        raise GridError(f"the graph takes sizes that are multiples of {multiple} px, got {image.shape[1:]}")
    batch = image[None]
    return lambda: model.engine.run(batch, probabilities=False)


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start
