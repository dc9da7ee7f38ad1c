"""Segmenting places at several dates with a flight package. No torch here, on the ground or in orbit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import GridError, PackageError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.package import verify
from satsqueeze.flight.choice import candidates, first_sound
from satsqueeze.flight.classifier import check_images
from satsqueeze.flight.engines.engine import DAYS, INPUT
from satsqueeze.flight.engines.onnx_engine import OnnxInputs
from satsqueeze.flight.plans.tiling import continued
from satsqueeze.flight.runtime import Prediction
from satsqueeze.flight.source import arrays_of, require_names
from satsqueeze.flight.vectors import Result, SelfTest, TestVectors, compare, fitting

_LAST_DAY = 366


class FlightSeries:
    """An opened flight package that reads all dates of a place at once.

    Args:
        manifest: what the package says about itself.
        graph: the graph that ``engine`` runs.
        engine: with that graph loaded.
        notes: what a user should know about how the package was opened.
    """

    def __init__(
        self, manifest: FlightManifest, *, graph: Graph, engine: OnnxInputs, notes: Sequence[str] = ()
    ) -> None:
        self.manifest, self.graph, self.engine = manifest, graph, engine
        self.notes = tuple(notes)

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
        """Class values that count as positive; none where scores are means over the classes."""
        return self.manifest.foreground

    def predict(
        self,
        images: NDArray[np.floating[Any]],
        days: Sequence[float],
        bands: Sequence[str],
        *,
        valid: NDArray[np.bool_] | None = None,
    ) -> Prediction:
        """Classify every pixel of a place.

        The whole place is computed at once: memory grows with its pixels and with its dates.

        Args:
            images: float reflectance (T, C, H, W), any number of dates, any H and W from 1 pixel; NaN and inf mark what
                is missing at a date, such as under its clouds.
            days: day of the year of each date, from 1 to 366; dates come in any order.
            bands: names of the C channels, in any order; more bands than the model needs may be there.
            valid: (T, H, W), True = valid; what is False counts as missing.

        Returns:
            The mask, 255 where no date shows a pixel, and probabilities.

        Raises:
            BandError: a band is absent or repeated, or the names do not fit the channels.
            GridError: images, days or validity that do not fit each other.
            RadiometryError: the values are not reflectance, or valid pixels hold fill such as -9999.
        """
        images, valid = arrays_of(images, valid)
        if images.ndim != 4 or 0 in images.shape:
            raise GridError(f"a series must be (T, C, H, W) with at least one date and pixel, got shape {images.shape}")
        require_names(bands, images.shape[1], self.bands)
        channels = band_positions(bands, self.bands)
        if valid is not None and valid.shape != (len(images), *images.shape[2:]):
            raise GridError(f"validity must be (T, H, W) like the images, got shape {valid.shape}")
        check_images(images, channels, self.bands, valid)
        values = images[:, channels].astype(np.float32)
        missing: NDArray[np.bool_] = np.logical_not(np.isfinite(values).all(axis=1))
        if valid is not None:
            missing |= ~valid
        values = np.where(missing[:, None], np.float32(0), values)
        found = self.engine.run(
            {INPUT: continued(values, self.manifest.size_multiple)[None], DAYS: _days_of(days, len(images))[None]}
        )
        rows, cols = slice(images.shape[2]), slice(images.shape[3])
        return Prediction(
            mask=found.mask[0, rows, cols], probabilities=np.asarray(found.probabilities)[0, :, rows, cols]
        )

    def results(self, images: Sequence[NDArray[np.float32]]) -> Iterator[Result]:
        """Masks and probabilities of test vectors, whose channels are the bands of dates spread over a year."""
        for image in images:
            series = image.reshape(-1, len(self.bands), *image.shape[1:])
            days = 1 + 365 * np.arange(len(series)) / len(series)
            found = self.predict(series, days.tolist(), self.bands)
            yield found.mask, found.probabilities

    def self_test(self, vectors: TestVectors) -> SelfTest:
        """Run the package's test vectors and compare with what the exporting machine got."""
        with fitting(self.graph.file):
            found = list(self.results(vectors.images))
        return compare(vectors, self.graph.file, found, precision=self.graph.precision)

    def try_out(self) -> None:
        """Run the graph on a date of zeros: what a package without test vectors can be asked.

        Raises:
            PackageError: it does not run.
        """
        with fitting(self.graph.file):
            self.predict(np.zeros((1, len(self.bands), 1, 1), np.float32), [1.0], self.bands)


def _days_of(days: object, dates: int) -> NDArray[np.float32]:
    """Float32 (T,).

    Raises:
        GridError: not one day of a year for each date.
    """
    try:
        found = np.asarray(days, np.float32)
    except (TypeError, ValueError) as error:
        raise GridError(f"days must be numbers, the day of the year of each date, got {days!r}") from error
    if found.shape != (dates,) or not ((found >= 1) & (found <= _LAST_DAY + 1)).all():
        raise GridError(
            f"a series of {dates} dates needs as many days of the year from 1 to {_LAST_DAY}, got {days!r}; take them "
            "from the dates, such as date.timetuple().tm_yday"
        )
    return found


def series_engine(folder: Path, graph: Graph, *, threads: int | None = None) -> OnnxInputs:
    """A graph over dates, loaded.

    Raises:
        PackageError: the file is not such a graph.
    """
    return OnnxInputs(folder / graph.file, inputs=(INPUT, DAYS), threads=threads)


def open_series(
    path: Path | str, *, precision: Literal["auto", "fp32", "int8"] = "auto", threads: int | None = None
) -> FlightSeries:
    """Verify a flight package for series and open it.

    Args:
        path: folder of the package.
        precision: ``auto`` takes the package's default.
        threads: of a prediction; None leaves it to the engine.

    Raises:
        PackageError: not a package, changed, not for series, or no graph reproduces the test vectors here.
        SettingsError: an unknown precision.
    """
    folder = Path(path)
    manifest = verify(folder)
    if manifest.task != "series":
        raise PackageError(f"{folder} is a {manifest.task} package, of one date; use open_package")
    notes: list[str] = []
    vectors = TestVectors.read(folder / manifest.vectors) if manifest.vectors else None
    models = (
        FlightSeries(manifest, graph=graph, engine=series_engine(folder, graph, threads=threads), notes=notes)
        for graph, _ in candidates(manifest, "onnx", precision)
    )
    return first_sound(models, vectors, notes, folder=folder)
