"""How much memory this process holds, and what a graph needs per pixel, measured on the engine that runs it."""

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.window import up
from satsqueeze.flight.engines.engine import Engine

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_GIB = 2**30
_WARM_SIDE = 64
_PROBE_SIDES = (64, 768)
"""Of the inputs on which a graph's memory is measured, in pixels: what both take alike is fixed."""
_PROBES = 3
"""Runs of it: with the second an engine may lay its memory out anew, beside what the first has left."""
_ASSUMED_BYTES_PER_PIXEL = 400
"""Of a graph, where the system does not tell: above what any package of this project has needed."""
_RESERVE = 1.2
"""Allocators round up, and calls at once take more than as many calls in turn."""


def resident_bytes() -> int:
    """Memory that this process holds now; where the system does not tell, its peak."""
    return _status("VmRSS") or peak_bytes()


def ample_ram() -> int:
    """Whole GiB that leave at least half a GiB beside what this process holds, in bytes."""
    return -(-(resident_bytes() + _GIB // 2) // _GIB) * _GIB


def peak_bytes() -> int:
    """The most memory that this process has held, or 0 where the system does not tell."""
    found = _status("VmHWM")
    if found or sys.platform == "win32":
        return found
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> bool:
    """Start the peak anew; True where the system allows it."""
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(key: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), 0)


def trim() -> None:
    """Give memory that is free but kept by the C library back to the system, where it is known how."""
    with suppress(OSError, AttributeError):  # other libraries than that of GNU do without
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, kw_only=True)
class GraphMemory:
    """What running a graph costs."""

    base_bytes: int
    """Held by the process whatever the input: interpreter, libraries, weights, what an engine compiles."""
    bytes_per_pixel: float
    """More for each pixel of an input: the engine's scratch space and its results, without the input."""
    streams: int = 1
    """Inputs at once, each with its scratch space."""
    measured: bool
    """False where the system does not tell and a high figure is assumed."""


def measure(engine: Engine, manifest: FlightManifest, *, probabilities: bool) -> GraphMemory:
    """Run a graph on small inputs and see what it takes; its memory is given back.

    Args:
        engine: with the graph loaded.
        manifest: of the package.
        probabilities: whether they will be asked for, which costs memory too.
    """
    multiple = manifest.size_multiple
    # The first run makes what an engine keeps whatever the size; what it takes to fit a size is in both probes.
    engine.run(blank(len(manifest.bands), up(_WARM_SIDE, multiple)), probabilities=probabilities)
    small, large = (up(side, multiple) for side in _PROBE_SIDES)
    less, more = (_grown(engine, manifest, side, probabilities=probabilities) for side in (small, large))
    grown = max(0.0, (more - less) / (large**2 - small**2))
    # An engine that ran before may hold memory already: what comes out of a graph is the least it can take.
    least = 1 + 4 * len(manifest.classes) * probabilities
    found = grown / _held(engine) or float(_ASSUMED_BYTES_PER_PIXEL)
    fixed = max(0, int(less - grown * small**2)) if grown else 0
    return GraphMemory(
        base_bytes=resident_bytes() + fixed,
        bytes_per_pixel=max(found, float(least)) * _RESERVE,
        streams=engine.streams,
        measured=bool(grown),
    )


def _grown(engine: Engine, manifest: FlightManifest, side: int, *, probabilities: bool) -> int:
    """By how much inputs of that side make the process grow; 0 where the system does not tell, or has not that much."""
    batch = blank(len(manifest.bands), side)
    before = resident_bytes()
    measurable = forget_peak() and before > 0
    engine.fit(batch.shape, probabilities=probabilities)
    with ThreadPoolExecutor(_held(engine)) as calls:
        try:
            for _ in range(_PROBES):
                list(calls.map(partial(engine.run, probabilities=probabilities), [batch] * _held(engine)))
        except MemoryError:
            measurable = False  # a scene may fit all the same, in smaller tiles
    grown = max(0, peak_bytes() - before) if measurable else 0
    settle(engine, manifest)
    return grown


def _held(engine: Engine) -> int:
    """Inputs that are measured at once: calls that give their scratch space back may miss one another's peaks."""
    return engine.streams if engine.keeps_scratch else 1


def settle(engine: Engine, manifest: FlightManifest) -> None:
    """Give back what an engine keeps of earlier inputs."""
    engine.rest(blank(len(manifest.bands), up(_WARM_SIDE, manifest.size_multiple)))
    trim()


def blank(bands: int, side: int) -> NDArray[np.float32]:
    """Float32 (1, bands, side, side) in memory that is held: pages of zeros are not until they are written."""
    return np.full((1, bands, side, side), 0.1, np.float32)
