"""A graph that takes rows, tried before it flies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import PackageError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.rows import RowStream
from satsqueeze.flight.engines.engine import Engine
from satsqueeze.flight.engines.graph_output import GraphOutput
from satsqueeze.flight.engines.row_graph import PLACES, RowGraph
from satsqueeze.flight.plans.memory import resident_bytes
from satsqueeze.flight.vectors import fitting


@dataclass(frozen=True, kw_only=True)
class RowFlight:
    """A graph that takes rows, and what a plan must know of it."""

    graph: RowGraph
    stream: RowStream
    bytes: int
    """Held by the process since it was opened, made ready for small calls."""


def open_rows(engine: Engine, folder: Path, manifest: FlightManifest, graph: Graph) -> RowFlight | None:
    """The graph of a package that takes rows, where it runs and gives the masks of the one that is flown; else None.

    Args:
        engine: that flies.
        folder: of the package.
        manifest: of it.
        graph: that is flown.
    """
    stream, before = manifest.stream, resident_bytes()
    if stream is None or graph.precision != "int8":
        return None
    run = partial(engine.run, probabilities=False)
    shape = {"bands": len(manifest.bands), "rows": stream.least_rows, "width": 2 * manifest.size_multiple}
    try:
        with fitting(stream.middle):
            rows = engine.rows(folder, stream)
            if rows is None or not same_mask(rows, run, **shape):
                return None
    except PackageError:
        # Tiles give the same mask.
        return None
    found = RowFlight(graph=rows, stream=stream, bytes=max(0, resident_bytes() - before))
    rows.rest()
    return found


def same_mask(
    graph: RowGraph, run: Callable[[NDArray[np.float32]], GraphOutput], *, bands: int, rows: int, width: int
) -> bool:
    """Whether three calls of a graph give the mask of the whole, to the last byte, on an image of noise.

    Engines join layers as they see fit, and not always alike in graphs that differ.

    Args:
        graph: takes rows.
        run: takes the whole image.
        bands: of the image.
        rows: of each call, in pixels.
        width: of the image, in pixels.
    """
    generator = np.random.default_rng(0)
    # Noise on top of slow changes: every class appears, and few decisions are far from the others.
    slow = generator.uniform(0, 0.6, (1, bands, -(-3 * rows // 8), -(-width // 8))).repeat(8, axis=2).repeat(8, axis=3)
    image = (slow + generator.uniform(0, 0.2, slow.shape)).astype(np.float32)[:, :, : 3 * rows, :width]
    wanted = run(np.ascontiguousarray(image)).mask[0]
    carried: list[NDArray[Any]] = []
    found = []
    for number, place in enumerate(PLACES):
        part = np.ascontiguousarray(image[:, :, number * rows : (number + 1) * rows])
        mask, carried = graph.run(place, part, carried)
        found.append(mask)
    return bool(np.array_equal(np.concatenate(found), wanted))
