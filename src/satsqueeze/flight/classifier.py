"""Deciding on whole images with a flight package. No torch here, on the ground or in orbit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.count import is_count
from satsqueeze.core.errors import GridError, PackageError, RadiometryError, SettingsError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.flight.engines.engine import Engine
from satsqueeze.flight.reflectance import HIGHEST_MEDIAN, check_reflectance, require_no_fill, within_reach
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.source import arrays_of, require_names
from satsqueeze.flight.vectors import SelfTest, TestVectors, compare, fitting

BATCH = 64
"""Images that one call of the engine takes, at most."""
_SAMPLES = 8  # rows and columns of each image that are looked at for digital numbers


@dataclass(frozen=True, kw_only=True)
class ClassPrediction:
    """Decisions on images; for a single image (C, H, W), without the axis of images."""

    classes: NDArray[np.uint8]
    """uint8 (N,): class values; of a multi-label package (N, K): 1 for each class that an image has."""
    probabilities: NDArray[np.float32]
    """float32 (N, K), summing to 1 over K unless multi-label."""


class FlightClassifier(FlightModel):
    """An opened flight package that decides on whole images.

    Args:
        manifest: what the package says about itself.
        graph: the graph that ``engine`` runs.
        engine: an engine with that graph loaded.
        notes: what a user should know about how the package was opened.
    """

    def __init__(self, manifest: FlightManifest, *, graph: Graph, engine: Engine, notes: Sequence[str] = ()) -> None:
        super().__init__(manifest, graph=graph, engine=engine, notes=notes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels.

        Raises:
            PackageError: the package states none.
        """
        if self.manifest.input_size is None:
            raise PackageError(f"{self.manifest.name} states no size of its images; export the package again")
        return self.manifest.input_size

    @property
    def is_multi_label(self) -> bool:
        """Whether an image has any number of classes."""
        return self.manifest.task == "multi-label"

    def classify(
        self,
        images: NDArray[np.floating[Any]],
        bands: Sequence[str],
        *,
        valid: NDArray[np.bool_] | None = None,
        batch: int = BATCH,
    ) -> ClassPrediction:
        """Decide on images.

        Args:
            images: float reflectance (N, C, H, W), or one image (C, H, W), of the package's :attr:`size`; NaN and inf
                mark missing pixels, which count as 0 reflectance in all bands.
            bands: names of the C channels, in any order; more bands than the model needs may be there.
            valid: (N, H, W) or (H, W), True = valid; pixels that are False count as missing.
            batch: images that one call of the engine takes, at most.

        Raises:
            BandError: a band is absent or repeated, or the names do not fit the channels.
            GridError: images or validity of another size or number of axes.
            RadiometryError: the values are not reflectance, or valid pixels hold fill such as -9999.
            SettingsError: a batch that is no whole number of at least 1.
            PackageError: the package states no size of its images.
        """
        if not is_count(batch):
            raise SettingsError(f"a batch holds at least 1 image, got {batch!r}; give a whole number")
        images, valid = arrays_of(images, valid)
        if images.ndim == 3:
            found = self.classify(images[None], bands, valid=None if valid is None else valid[None], batch=batch)
            return ClassPrediction(classes=found.classes[0], probabilities=found.probabilities[0])
        channels = self._channels_of(images, bands)
        if valid is not None and valid.shape != (len(images), *images.shape[2:]):
            raise GridError(f"validity must be boolean (N, H, W) like the images, got {valid.dtype} {valid.shape}")
        check_images(images, channels, self.bands, valid)
        classes = np.empty((len(images), len(self.classes))[: 2 if self.is_multi_label else 1], np.uint8)
        chances = np.empty((len(images), len(self.classes)), np.float32)
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            result = self.engine.run(
                _finite(images[part], channels, None if valid is None else valid[part]), probabilities=True
            )
            classes[part], chances[part] = result.mask, result.probabilities
        return ClassPrediction(classes=classes, probabilities=chances)

    def self_test(self, vectors: TestVectors) -> SelfTest:
        """Run the package's test vectors and compare with what the exporting machine got."""
        with fitting(self.graph.file):
            found = [self.classify(image, self.bands) for image in vectors.images]
        results = [(np.asarray(one.classes), one.probabilities) for one in found]
        thresholds = self.manifest.thresholds
        return compare(vectors, self.graph.file, results, precision=self.graph.precision, thresholds=thresholds)

    def _channels_of(self, images: NDArray[np.floating[Any]], bands: Sequence[str]) -> list[int]:
        if images.ndim != 4 or images.shape[2:] != self.size:
            raise GridError(
                f"expected images (N, C, {self.size[0]}, {self.size[1]}), got shape {images.shape}; crop or resample "
                "them to that size"
            )
        require_names(bands, images.shape[1], self.bands)
        return band_positions(bands, self.bands)


def _finite(
    images: NDArray[np.floating[Any]], channels: list[int], valid: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Float32 (n, C, H, W) in the order of ``channels``, 0 where a pixel is missing."""
    values = images.astype(np.float32) if channels == list(range(images.shape[1])) else _taken(images, channels)
    with np.errstate(over="ignore", invalid="ignore"):
        # One addition per value finds out whether any needs a closer look.
        finite = bool(np.isfinite(values.sum()))
    if finite and valid is None:
        return np.ascontiguousarray(values)
    missing: NDArray[np.bool_] = np.logical_not(np.isfinite(values).all(axis=1))
    if valid is not None:
        missing |= ~valid
    return np.where(missing[:, None], np.float32(0), values)


def _taken(images: NDArray[np.floating[Any]], channels: list[int]) -> NDArray[np.float32]:
    return images[:, channels].astype(np.float32)


def check_images(
    images: NDArray[np.floating[Any]], channels: list[int], bands: Sequence[str], valid: NDArray[np.bool_] | None
) -> None:
    """Refuse images that cannot be reflectance, each by a few of its pixels, and fill by all of them.

    Args:
        images: (N, C, H, W).
        channels: positions of the channels to look at.
        bands: their names, for the message.
        valid: (N, H, W), True = valid; None: every finite pixel is.

    Raises:
        RadiometryError: digital numbers, or fill.
    """
    if not len(images):
        return
    check_reflectance(images[0], channels, bands, None if valid is None else valid[0])
    steps = [max(1, size // _SAMPLES) for size in images.shape[2:]]
    sample = np.abs(images[:, :, :: steps[0], :: steps[1]][:, channels])
    known = np.isfinite(sample)
    if valid is not None:
        known &= valid[:, None, :: steps[0], :: steps[1]]
    # Half of the sample above the limit is what a median above it means, and cheaper to find.
    bright = np.flatnonzero((np.where(known, sample, 0) > HIGHEST_MEDIAN).mean(axis=(1, 2, 3)) > 0.5)
    if len(bright):
        raise RadiometryError(
            f"image {int(bright[0])} of {len(images)} has a median that no reflectance reaches: it looks like digital "
            "numbers (DN). Convert with satsqueeze.core.radiometry"
        )
    if not within_reach(images):
        for number, image in enumerate(images):
            sound = None if valid is None else valid[number]
            require_no_fill(image, channels, bands, sound, of=f" of image {number}")
