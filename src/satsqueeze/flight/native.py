"""Deciding on whole images whose bands come in pixels of their own size. No torch here, on the ground or in orbit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.count import is_count
from satsqueeze.core.errors import GridError, PackageError, SettingsError
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.native import NativeGrid, NativeImages
from satsqueeze.core.package import verify
from satsqueeze.flight.classifier import BATCH, ClassPrediction, check_images
from satsqueeze.flight.engines.onnx_engine import OnnxInputs
from satsqueeze.flight.source import arrays_of
from satsqueeze.flight.vectors import Result, SelfTest, TestVectors, compare, fitting


class NativeClassifier:
    """An opened flight package that takes each band as the sensor delivers it.

    Args:
        manifest: what the package says about itself.
        engine: with its graph for such bands loaded.
    """

    def __init__(self, manifest: FlightManifest, engine: OnnxInputs) -> None:
        self.manifest, self.engine = manifest, engine
        self.grids = _native_of(manifest).grids

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Height and width of the images of each band, in pixels."""
        return {band: grid.size for grid in self.grids for band in grid.bands}

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class value."""
        return self.manifest.classes

    def classify(self, images: Mapping[str, NDArray[np.floating[Any]]], *, batch: int = BATCH) -> ClassPrediction:
        """Decide on images.

        Args:
            images: float reflectance of each band by name, (N, h, w), or (h, w) of one image, in its own size (see
                :attr:`sizes`); NaN, inf and masked pixels are missing: what is interpolated from one counts as 0
                reflectance in all bands. More bands than the model needs may be there.
            batch: images that one call of the engine takes, at most.

        Raises:
            BandError: a band is absent.
            GridError: images of another size, number or number of axes.
            RadiometryError: the values are not reflectance.
            SettingsError: a batch that is no whole number of at least 1.
        """
        if not is_count(batch):
            raise SettingsError(f"a batch holds at least 1 image, got {batch!r}; give a whole number")
        stacks, single = self._stacks(images)
        count = len(next(iter(stacks.values())))
        parts = [
            self.engine.run({name: stack[start : start + batch] for name, stack in stacks.items()})
            for start in range(0, max(count, 1), batch)
        ]
        decided = np.concatenate([part.mask for part in parts])
        chances = np.concatenate([np.asarray(part.probabilities) for part in parts])
        if single:
            return ClassPrediction(classes=decided[0], probabilities=chances[0])
        return ClassPrediction(classes=decided, probabilities=chances)

    def results(self, images: Sequence[NDArray[np.float32]]) -> Iterator[Result]:
        """Decisions on images (C, H, W) of test vectors, of which coarser bands take every so many pixels."""
        for image in images:
            own = dict(zip(self.manifest.band_names, image, strict=True))
            steps = {band: len(own[band]) // height for band, (height, _) in self.sizes.items()}
            found = self.classify({band: own[band][::step, ::step] for band, step in steps.items()})
            yield np.asarray(found.classes), found.probabilities

    def self_test(self, vectors: TestVectors) -> SelfTest:
        """Run the package's test vectors and compare with what the exporting machine got."""
        file, graph = _native_of(self.manifest).file, self.manifest.graph(self.manifest.default_graph)
        with fitting(file):
            found = list(self.results(vectors.images))
        return compare(vectors, file, found, precision=graph.precision, thresholds=self.manifest.thresholds)

    def try_out(self) -> None:
        """Run the graph on images of zeros: what a package without test vectors can be asked.

        Raises:
            PackageError: it does not run.
        """
        with fitting(_native_of(self.manifest).file):
            self.classify({band: np.zeros(size, np.float32) for band, size in self.sizes.items()})

    def _stacks(self, images: Mapping[str, NDArray[np.floating[Any]]]) -> tuple[dict[str, NDArray[np.float32]], bool]:
        """Float32 (N, C, h, w) for each input, NaN where missing, and whether a single image was given."""
        if not isinstance(images, Mapping):
            raise GridError(f"expected an image of each band by its name, got {type(images).__name__}; give a mapping")
        band_positions(tuple(images), self.manifest.band_names)
        found = {band: arrays_of(images[band], None)[0] for band in self.sizes}
        axes = {image.ndim for image in found.values()}
        single = axes == {2}
        if len(axes) > 1:
            raise GridError(
                f"some bands are one image (h, w) and others several (N, h, w): got {sorted(axes)} axes; give all alike"
            )
        found = {band: image[None] if single else image for band, image in found.items()}
        count = len(next(iter(found.values())))
        for band, image in found.items():
            if image.ndim != 3 or image.shape != (count, *self.sizes[band]):
                height, width = self.sizes[band]
                raise GridError(
                    f"expected {count} images of band {band} with {height} x {width} px each, got shape {image.shape}; "
                    "give every band (N, h, w), or (h, w) of one image, in its own size"
                )
        return {grid.input: _stack(grid, found) for grid in self.grids}, single


def _stack(grid: NativeGrid, images: Mapping[str, NDArray[np.floating[Any]]]) -> NDArray[np.float32]:
    stack = np.stack([images[band] for band in grid.bands], axis=1)
    check_images(stack, list(range(len(grid.bands))), grid.bands, None)
    values = stack.astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def native_engine(folder: Path, manifest: FlightManifest, *, threads: int | None = None) -> OnnxInputs:
    """The graph of a package for bands in their own sizes, loaded.

    Raises:
        PackageError: it has none, or the file is not such a graph.
    """
    native = _native_of(manifest)
    return OnnxInputs(folder / native.file, inputs=[grid.input for grid in native.grids], threads=threads)


def open_native(path: Path | str, *, threads: int | None = None) -> NativeClassifier:
    """Verify a flight package and open its graph for bands in pixels of their own size.

    Args:
        path: folder of the package.
        threads: of a prediction; None leaves it to the engine.

    Raises:
        PackageError: not a package, changed, without such a graph, or one that fails its test vectors here.
    """
    folder = Path(path)
    manifest = verify(folder)
    model = NativeClassifier(manifest, native_engine(folder, manifest, threads=threads))
    if not manifest.vectors:
        model.try_out()
    else:
        result = model.self_test(TestVectors.read(folder / manifest.vectors))
        if not result.passed:
            raise PackageError(
                f"{folder}: {result.graph} does not reproduce the test vectors on this machine ({result.reason}). Do "
                "not fly it: update the engine, or export the package again here."
            )
    return model


def _native_of(manifest: FlightManifest) -> NativeImages:
    if manifest.native is None:
        raise PackageError(
            f"{manifest.name} has no graph for bands in pixels of their own size; export it with native grids "
            "(satsqueeze export RUN --native_grids true), or resample the bands and use open_classifier"
        )
    return manifest.native
