"""A flight package, opened: prediction on images. No torch here, on the ground or in orbit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import GridError, PackageError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.window import cover
from satsqueeze.flight.engines.engine import Engine
from satsqueeze.flight.plans.tiling import Tiling, importance
from satsqueeze.flight.reflectance import check_reflectance
from satsqueeze.flight.source import Source, arrays_of, channels_of
from satsqueeze.flight.vectors import SelfTest, TestVectors, compare, fitting

DEFAULT_WINDOW = 1024
"""Side of the tiles of a large image, in pixels."""
Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Class and class probabilities of every pixel."""

    mask: NDArray[np.uint8]
    """uint8 (H, W): class values, 255 where a band the model uses is not a finite number."""
    probabilities: NDArray[np.float32]
    """float32 (K, H, W), summing to 1 over K; 0 for every class where ``mask`` is 255."""


class FlightModel:
    """An opened flight package.

    Args:
        manifest: what the package says about itself.
        graph: the graph that ``engine`` runs.
        engine: an engine with that graph loaded.
        window: images above this size are run in tiles of about this size, in pixels.
        notes: what a user should know about how the package was opened.
        buffer_m: metres by which foreground is widened where a pixel's size is known; None for the package's.
    """

    def __init__(
        self,
        manifest: FlightManifest,
        *,
        graph: Graph,
        engine: Engine,
        window: int = DEFAULT_WINDOW,
        notes: Sequence[str] = (),
        buffer_m: float | None = None,
    ) -> None:
        self.manifest = manifest
        self.buffer_m = manifest.buffer_m if buffer_m is None else buffer_m
        """Metres by which foreground is widened where a pixel's size is known."""
        self.graph = graph
        self.engine = engine
        self.tiling = Tiling(window=window, halo=manifest.receptive_field, multiple=manifest.size_multiple)
        self.notes = tuple(notes)
        """Such as a graph that was passed over, and why; a blended tiling."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands that ``predict`` needs."""
        return self.manifest.band_names

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class value."""
        return self.manifest.classes

    @property
    def foreground(self) -> tuple[int, ...]:
        """Class values that count as positive, such as the cloud classes."""
        return self.manifest.foreground

    def buffer(self, gsd_m: float | None) -> Buffer:
        """The buffer around foreground where a pixel is ``gsd_m`` metres wide; none where that is not known."""
        return Buffer.on_ground(self.buffer_m, gsd_m, self.foreground)

    @overload
    def predict(
        self,
        image: NDArray[np.floating],
        bands: Sequence[str],
        probabilities: Literal[False] = ...,
        *,
        valid: NDArray[np.bool_] | None = ...,
        gsd_m: float | None = ...,
    ) -> NDArray[np.uint8]: ...

    @overload
    def predict(
        self,
        image: NDArray[np.floating],
        bands: Sequence[str],
        probabilities: Literal[True],
        *,
        valid: NDArray[np.bool_] | None = ...,
        gsd_m: float | None = ...,
    ) -> Prediction: ...

    def predict(
        self,
        image: NDArray[np.floating],
        bands: Sequence[str],
        probabilities: bool = False,
        *,
        valid: NDArray[np.bool_] | None = None,
        gsd_m: float | None = None,
    ) -> NDArray[np.uint8] | Prediction:
        """Classify every pixel.

        Args:
            image: float reflectance (C, H, W), any H and W from 1 pixel; NaN and inf mark missing pixels, and so does
                the mask of a masked array.
            bands: names of the C channels, in any order; more bands than the model needs may be there.
            probabilities: also return class probabilities, as a :class:`Prediction`.
            valid: (H, W), True = valid; pixels that are False count as missing. None: every finite pixel is valid.
            gsd_m: side of a pixel in metres, for the package's buffer around foreground; None: there is no buffer.

        Returns:
            uint8 (H, W): class values, 255 where a pixel is missing. A missing pixel is 0 reflectance for its
            neighbours. Probabilities are those of the network, without the buffer.

        Raises:
            BandError: a band is absent or repeated, or the names do not fit the channels.
            RadiometryError: the values are not reflectance, or valid pixels hold fill such as -9999.
            GridError: an empty image, a validity of another size, or a pixel without a size above 0 m.
            SettingsError: pixels so small that the buffer would reach too many of them.
            PackageError: the package decides on whole images.
        """
        if self.manifest.task != "segmentation":
            raise PackageError(
                f"{self.manifest.name} decides on whole images ({self.manifest.task}) and gives no mask; use classify, "
                "or a segmentation package"
            )
        image, valid = arrays_of(image, valid)
        channels = channels_of(image, bands, self.bands)
        if valid is not None and valid.shape != image.shape[1:]:
            raise GridError(
                f"validity must be boolean {image.shape[1:]} like the image, got {valid.dtype} {valid.shape}"
            )
        check_reflectance(image, channels, self.bands, valid)
        if gsd_m is not None and not (isinstance(gsd_m, (int, float, np.number)) and 0 < gsd_m < np.inf):
            raise GridError(
                f"the side of a pixel must be a number above 0 m, got {gsd_m!r}; leave it out where it is not known"
            )
        buffer = self.buffer(gsd_m)
        exact = self.manifest.window_invariant or max(image.shape[1:]) <= self.tiling.window
        run = self._run_tiles if exact else self._run_blended
        mask, chances = run(Source(image, channels, valid), probabilities)
        mask = buffer.widen(mask)
        return Prediction(mask=mask, probabilities=chances) if chances is not None else mask

    def _run_tiles(self, source: Source, probabilities: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        height, width = source.shape
        mask = np.empty((height, width), np.uint8)
        chances = np.empty((len(self.classes), height, width), np.float32) if probabilities else None
        for tile in self.tiling.tiles(height=height, width=width):
            batch, missing = source.read(tile.read)
            result = self.engine.run(batch[None], probabilities=probabilities)
            rows = slice(tile.core.row, min(tile.core.stop_row, height))
            cols = slice(tile.core.col, min(tile.core.stop_col, width))
            inner = (
                slice(rows.start - tile.read.row, rows.stop - tile.read.row),
                slice(cols.start - tile.read.col, cols.stop - tile.read.col),
            )
            mask[rows, cols] = result.mask[0][inner]
            if missing.any():
                mask[rows, cols][missing[inner]] = IGNORE
            if chances is not None and result.probabilities is not None:
                chances[:, rows, cols] = result.probabilities[0][:, *inner]
                chances[:, rows, cols][:, missing[inner]] = 0
        return mask, chances

    def _run_blended(self, source: Source, probabilities: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        height, width = source.shape
        rows, cols = self.tiling.padded(height), self.tiling.padded(width)
        side = max(1, self.tiling.window // self.tiling.multiple) * self.tiling.multiple
        total = np.zeros((len(self.classes), rows, cols), np.float32)
        weight_sum = np.zeros((rows, cols), np.float32)
        missing = np.zeros((rows, cols), np.bool_)
        for window in cover(height=rows, width=cols, window=side):
            batch, absent = source.read(window)
            result = self.engine.run(batch[None], probabilities=True)
            weight = importance(height=window.height, width=window.width)
            total[:, *window.slices] += weight * np.asarray(result.probabilities)[0]
            weight_sum[window.slices] += weight
            missing[window.slices] |= absent
        chances = (total / weight_sum)[:, :height, :width]
        chances[:, missing[:height, :width]] = 0
        mask = np.where(missing[:height, :width], IGNORE, chances.argmax(axis=0)).astype(np.uint8)
        return mask, chances if probabilities else None

    def self_test(self, vectors: TestVectors) -> SelfTest:
        """Run the package's test vectors and compare with what the exporting machine got."""
        with fitting(self.graph.file):
            found = [self.predict(image, self.bands, probabilities=True) for image in vectors.images]
        strict = self.graph.precision == "fp32"
        return compare(
            vectors, self.graph.file, [(p.mask, p.probabilities) for p in found], precision="fp32" if strict else "int8"
        )

    def try_out(self) -> None:
        """Run the graph on an image of zeros: what a package without test vectors can be asked.

        Raises:
            PackageError: it does not run, or does not give what the manifest says.
        """
        whole = self.manifest.input_size
        sides = whole or (self.manifest.size_multiple,) * 2
        with fitting(self.graph.file):
            result = self.engine.run(np.zeros((1, len(self.bands), *sides), np.float32), probabilities=True)
        found, expected = np.asarray(result.probabilities).shape, (1, len(self.classes), *(() if whole else sides))
        if found != expected:
            raise PackageError(
                f"{self.graph.file} gives probabilities {found}, by its manifest {expected} are due; export again"
            )
