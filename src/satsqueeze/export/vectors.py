"""Making test vectors: images that look like scenes to a network but hold no pixel of anybody's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.package import FlightManifest
from satsqueeze.flight.engine import open_engine
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.vectors import TestVectors

SIZES = ((64, 64), (37, 53), (1, 1))
"""Heights and widths in pixels; the first image has a hole of missing pixels."""


def smooth_image(*, channels: int, height: int, width: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise in the range of reflectance, 0 to 1.2, its bands correlated as those of real scenes.

    Returns:
        Float32 (channels, height, width): octaves of bilinearly enlarged white noise, most of it common to all bands.
    """
    total = np.zeros((channels, height, width))
    for cells, weight in ((3, 0.6), (9, 0.3), (27, 0.1)):
        common = generator.random((1, cells, cells))
        own = generator.random((channels, cells, cells))
        total += weight * _enlarged(0.7 * common + 0.3 * own, height=height, width=width)
    low, high = total.min(), total.max()
    image: NDArray[np.float32] = (1.2 * (total - low) / max(high - low, 1e-9)).astype(np.float32)
    return image


def _enlarged(grid: NDArray[np.float64], *, height: int, width: int) -> NDArray[np.float64]:
    for axis, size in ((1, height), (2, width)):
        cells = grid.shape[axis]
        position = np.linspace(0, cells - 1, size)
        low = np.minimum(position.astype(int), cells - 2)
        shape = [1, 1, 1]
        shape[axis] = size
        share = (position - low).reshape(shape)
        grid = np.take(grid, low, axis=axis) * (1 - share) + np.take(grid, low + 1, axis=axis) * share
    return grid


def make_vectors(folder: Path, manifest: FlightManifest, *, seed: int = 0) -> TestVectors:
    """Test vectors for every graph of a package, by running them here.

    Args:
        folder: where the graphs lie.
        manifest: draft manifest that lists them.
        seed: of the images.
    """
    generator = np.random.default_rng(seed)
    images = [
        smooth_image(channels=len(manifest.bands), height=height, width=width, generator=generator)
        for height, width in SIZES
    ]
    images[0][:, 5:9, 40:50] = np.nan
    expected = {}
    for graph in manifest.graphs:
        model = FlightModel(manifest, graph=graph, engine=open_engine(graph.engine, folder / graph.file))
        found = [model.predict(image, manifest.band_names, probabilities=True) for image in images]
        expected[graph.file] = tuple((p.mask, p.probabilities) for p in found)
    return TestVectors(images=tuple(images), expected=expected)
