"""Making test vectors: images that look like scenes to a network but hold no pixel of anybody's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from satsqueeze.core.manifest import FlightManifest
from satsqueeze.flight.classifier import FlightClassifier
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.native import NativeClassifier, native_engine
from satsqueeze.flight.opening import flight_model
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.series import FlightSeries, series_engine
from satsqueeze.flight.vectors import Result, TestVectors

SIZES = ((64, 64), (37, 53), (1, 1))
"""Heights and widths in pixels; the first image has a hole of missing pixels."""
_DATES = (3, 5, 1)  # of a package for series
_WHOLE_IMAGES = 3  # test images of a package that decides on whole ones, all of its size


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
    found = functional.interpolate(torch.from_numpy(grid)[None], (height, width), mode="bilinear", align_corners=True)
    return np.asarray(found[0])


def make_vectors(folder: Path, manifest: FlightManifest, *, seed: int = 0) -> TestVectors:
    """Test vectors for every graph of a package, by running them here.

    Args:
        folder: where the graphs lie.
        manifest: draft manifest that lists them.
        seed: of the images.
    """
    if manifest.task == "series":
        return _series_vectors(folder, manifest, np.random.default_rng(seed))
    generator = np.random.default_rng(seed)
    sizes = SIZES if manifest.input_size is None else (manifest.input_size,) * _WHOLE_IMAGES
    images = [
        smooth_image(channels=len(manifest.bands), height=height, width=width, generator=generator)
        for height, width in sizes
    ]
    if manifest.input_size is not None:
        # Few digits compress well: else the images weigh more than a tiny network.
        images = [(np.round(image * 1024) / 1024).astype(np.float32) for image in images]
    height, width = sizes[0]
    images[0][:, 5 * height // 64 : 9 * height // 64, 40 * width // 64 : 50 * width // 64] = np.nan
    expected = {}
    for graph in manifest.graphs:
        model = flight_model(manifest, graph=graph, engine=open_engine(graph.engine, folder / graph.file))
        expected[graph.file] = tuple(_result(model, image) for image in images)
    if manifest.native is not None:
        native = NativeClassifier(manifest, native_engine(folder, manifest))
        expected[manifest.native.file] = tuple(native.results(images))
    return TestVectors(images=tuple(images), expected=expected)


def _series_vectors(folder: Path, manifest: FlightManifest, generator: np.random.Generator) -> TestVectors:
    """Dates one after another, the first with a hole and the last of all without a pixel."""
    bands = len(manifest.bands)
    images = [
        smooth_image(channels=dates * bands, height=height, width=width, generator=generator)
        for dates, (height, width) in zip(_DATES, SIZES, strict=True)
    ]
    images[0][:bands, 5:9, 40:50] = np.nan
    images[1][-bands:] = 0
    expected = {}
    for graph in manifest.graphs:
        model = FlightSeries(manifest, graph=graph, engine=series_engine(folder, graph))
        expected[graph.file] = tuple(model.results(images))
    return TestVectors(images=tuple(images), expected=expected)


def _result(model: FlightModel, image: NDArray[np.float32]) -> Result:
    if isinstance(model, FlightClassifier):
        decided = model.classify(image, model.bands)
        return np.asarray(decided.classes), decided.probabilities
    found = model.predict(image, model.bands, probabilities=True)
    return found.mask, found.probabilities
