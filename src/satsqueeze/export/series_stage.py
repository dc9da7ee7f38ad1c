"""Export of networks over dates: what differs from masks of one date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import ExportError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.window import Window, up
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.series import Series, series_images, series_label, series_of
from satsqueeze.export.draft import FP32, draft_manifest
from satsqueeze.export.integer import IntegerBench, IntegerGraphs, integer_graphs
from satsqueeze.export.onnx import export_fp32
from satsqueeze.export.parity import ParityReport
from satsqueeze.export.quantise import Drift, Feed
from satsqueeze.export.series_graph import check_series, series_graph
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.validation import MaskValidator
from satsqueeze.flight.engines.engine import DAYS, INPUT
from satsqueeze.flight.plans.tiling import continued
from satsqueeze.flight.series import FlightSeries, series_engine
from satsqueeze.nets.cost import COST_SIDE
from satsqueeze.nets.model import SegmentationModel


@dataclass(frozen=True, kw_only=True)
class SeriesSample:
    """One place with its label."""

    id: str
    images: NDArray[np.float32]
    """Float32 reflectance (T, C, H, W), bands in the model's order, 0 where invalid."""
    days: tuple[float, ...]
    label: NDArray[np.uint8]
    """uint8 (H, W), 255 = ignore."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W), True where any date shows a pixel."""
        shown: NDArray[np.bool_] = (self.images != 0).any(axis=(0, 1))
        return shown


@dataclass(frozen=True)
class SeriesSamples:
    """Places of a cache, read one at a time.

    Raises:
        ExportError: no dates.
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
    """

    cache: PackedCache
    ids: tuple[str, ...]
    bands: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.ids:
            raise ExportError("calibration and validation need the dates of at least one place each, got none")

    @cached_property
    def places(self) -> tuple[Series, ...]:
        """By name."""
        return series_of(self.cache, self.ids)

    @property
    def labelled(self) -> bool:
        """Whether any pixel is labelled."""
        return any((series_label(self.cache, place) != IGNORE).any() for place in self.places)

    def __iter__(self) -> Iterator[SeriesSample]:
        channels = band_positions(self.cache.bands, self.bands)
        for place in self.places:
            images, label = series_images(self.cache, place), series_label(self.cache, place)
            yield SeriesSample(id=place.place, images=images[:, channels], days=place.days, label=label)

    def windows(self, *, count: int, side: int, multiple: int, seed: int) -> list[Feed]:
        """Inputs of the graph from windows that are drawn from places spread over all, the same for the same seed.

        Args:
            count: how many.
            side: of a window in pixels, at least; what is smaller is continued by reflection, as in flight.
            multiple: every side is a multiple of this.
            seed: of the positions.
        """
        generator, channels = np.random.default_rng(seed), band_positions(self.cache.bands, self.bands)
        chosen = [self.places[i] for i in np.linspace(0, len(self.places) - 1, count).round().astype(int)]
        found: list[Feed] = []
        for place in chosen:
            height, width = (min(up(side, multiple), size) for size in (place.height, place.width))
            row, col = generator.integers(0, (place.height - height + 1, place.width - width + 1)).tolist()
            window = Window(row=row, col=col, height=height, width=width)
            images = series_images(self.cache, place, window=window)[:, channels]
            found.append({INPUT: continued(images, multiple)[None], DAYS: np.array([place.days], np.float32)})
        return found


class SeriesValidator(MaskValidator[SeriesSample]):
    """Judges graphs by what they give on validation places."""

    @override
    def masks(self, graph: Graph, folder: Path) -> list[NDArray[np.uint8]]:
        """See :class:`MaskValidator`."""
        engine = series_engine(folder, graph, threads=self._threads)
        model = FlightSeries(self._manifest, graph=graph, engine=engine)
        return [
            model.predict(sample.images, sample.days, model.bands, valid=(sample.images != 0).any(axis=1)).mask
            for sample in self._samples
        ]


@dataclass(frozen=True)
class SeriesExport:
    """One run of the stage for series: what goes in, and the steps that share it."""

    model: SegmentationModel
    calibration: SeriesSamples
    """Places that set the ranges of int8 activations."""
    validation: SeriesSamples
    """Places on which int8 is judged."""
    settings: ExportSettings

    def draft(self, *, name: str, description: str) -> FlightManifest:
        """Everything that is known before a graph exists; multiply-accumulates are those of one date."""
        side = up(COST_SIDE, self.model.size_multiple)
        return draft_manifest(
            self.model,
            name=name,
            description=description,
            sensor=self.settings.sensor,
            side=side,
            fields={"task": "series", "receptive_field": 0, "window_invariant": False},
        )

    def graphs(self, folder: Path, draft: FlightManifest) -> tuple[FlightManifest, ParityReport]:
        """Write and prove all graphs; returns the manifest that lists them and what was measured."""
        settings, graph = self.settings, series_graph(self.model)
        export_fp32(graph, folder / FP32)
        fp32 = check_series(graph, folder / FP32, seed=settings.seed, tolerance=settings.tolerance)
        integer = self._int8(folder, draft) if settings.int8 else IntegerGraphs()
        integer = replace(integer, left_out=dict.fromkeys(integer.left_out, "series fly on onnxruntime"))
        report = ParityReport.of(fp32, None, integer, allowed_loss=settings.allowed_loss)
        return integer.listed(draft, default=settings.default), report

    def _int8(self, folder: Path, draft: FlightManifest) -> IntegerGraphs:
        settings = self.settings
        bench = IntegerBench(
            folder=folder,
            fp32=FP32,
            calibration=self._windows(self.calibration, settings.calibration_windows),
            drift=Drift(
                folder / FP32, self._windows(self.validation, settings.ranking_windows), threads=settings.threads
            ),
            validator=SeriesValidator(self.validation, draft, folder, threads=settings.threads),
            allowed_loss=settings.allowed_loss,
            allowed_share=settings.float_share,
        )
        return integer_graphs(bench, methods=settings.calibrations, openvino=False)

    def _windows(self, samples: SeriesSamples, count: int) -> list[Feed]:
        settings, multiple = self.settings, self.model.size_multiple
        return samples.windows(count=count, side=settings.calibration_side, multiple=multiple, seed=settings.seed)


def series_export(
    model: SegmentationModel,
    cache: object,
    ids_calibration: Sequence[str],
    ids_validation: Sequence[str],
    settings: ExportSettings,
) -> SeriesExport:
    """Prepare the export of a network over dates.

    Raises:
        ExportError: a cache that makes no series, no dates, or settings that are about masks of one date.
    """
    if not isinstance(cache, PackedCache):
        raise ExportError("a network over dates is exported from a packed cache whose images are dates of places")
    if settings.buffer_m or any(settings.logit_bias):
        raise ExportError("a network over dates has neither a buffer nor a logit bias; export it with 0 and none")
    calibration, validation = (
        SeriesSamples(cache, tuple(ids), model.card.bands) for ids in (ids_calibration, ids_validation)
    )
    return SeriesExport(model=model, calibration=calibration, validation=validation, settings=settings)
