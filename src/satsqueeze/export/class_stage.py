"""Export of classifiers: what differs from masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import ExportError
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.export.class_graph import ClassGraph, class_graph
from satsqueeze.export.class_validation import ClassValidator
from satsqueeze.export.draft import FP32, draft_manifest
from satsqueeze.export.integer import IntegerBench, IntegerGraphs, integer_graphs
from satsqueeze.export.native import proven_native
from satsqueeze.export.onnx import export_fp32
from satsqueeze.export.parity import ParityReport, check_batches, check_float
from satsqueeze.export.quantise import Drift, feeds
from satsqueeze.export.settings import ClassExportSettings
from satsqueeze.export.vectors import smooth_image
from satsqueeze.nets.model import SegmentationModel

_BATCH = 256  # validation images in memory at once
_GENERATED = 4  # images that look like scenes but hold no pixel of anybody's data, for the parity of the float graph


@dataclass(frozen=True)
class ClassExport:
    """One run of the stage for whole images: what goes in, and the steps that share it."""

    graph: ClassGraph
    cache: PackedCache
    calibration: tuple[str, ...]
    """Images that set the ranges of int8 activations."""
    validation: tuple[str, ...]
    """Images on which int8 is judged."""
    settings: ClassExportSettings

    def draft(self, *, name: str, description: str) -> FlightManifest:
        """Everything that is known before a graph exists; its only graph is the float one."""
        side = self.graph.side
        return draft_manifest(
            self.graph.model,
            name=name,
            description=description,
            sensor=self.settings.sensor,
            side=side,
            fields={
                "receptive_field": 0,
                "window_invariant": False,
                "input_size": (side, side),
                "thresholds": tuple(self.graph.thresholds.tolist()),
            },
        )

    def graphs(self, folder: Path, draft: FlightManifest) -> tuple[FlightManifest, ParityReport]:
        """Write and prove all graphs; returns the manifest that lists them and what was measured."""
        settings = self.settings
        export_fp32(self.graph, folder / FP32)
        ranking = [*self._images(self._spread(self.validation, settings.ranking_windows))]
        images = [*self._generated(draft), *ranking]
        fp32 = check_float(self.graph, folder / FP32, images, tolerance=settings.tolerance)
        batches = check_batches(folder / FP32, images, tolerance=settings.tolerance)
        integer = self._int8(folder, draft, ranking) if settings.int8 else IntegerGraphs()
        report = ParityReport.of(fp32, batches, integer, allowed_loss=settings.allowed_loss)
        made = integer.listed(draft, default=settings.default)
        native = proven_native(folder, made, seed=settings.seed) if settings.native_grids else None
        return made.model_copy(update={"native": native}), report

    def _int8(self, folder: Path, draft: FlightManifest, ranking: list[NDArray[np.float32]]) -> IntegerGraphs:
        settings = self.settings
        truth = self.cache.targets[[self.cache.position(item_id) for item_id in self.validation]]
        bench = IntegerBench(
            folder=folder,
            fp32=FP32,
            calibration=feeds(self._images(self._spread(self.calibration, settings.calibration_windows))),
            drift=Drift(folder / FP32, feeds(ranking), threads=settings.threads),
            validator=ClassValidator(self._batches, truth, draft, folder, threads=settings.threads),
            allowed_loss=settings.allowed_loss,
            allowed_share=settings.float_share,
        )
        return integer_graphs(bench, methods=settings.calibrations, openvino=settings.openvino == "auto")

    def _batches(self) -> Iterator[NDArray[np.float32]]:
        """The validation images, of which there may be too many for memory."""
        for start in range(0, len(self.validation), _BATCH):
            yield self._images(self.validation[start : start + _BATCH])

    def _images(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Reflectance (N, C, H, W), bands in the model's order."""
        channels = band_positions(self.cache.bands, self.graph.model.card.bands)
        positions = [self.cache.position(item_id) for item_id in ids]
        return reflectance(self.cache.stack[positions][:, channels])

    def _spread(self, ids: Sequence[str], count: int) -> list[str]:
        """At most ``count`` of the images, drawn from all over them, the same for the same seed."""
        order = np.random.default_rng(self.settings.seed).permutation(len(ids))[:count]
        return [ids[place] for place in np.sort(order)]

    def _generated(self, draft: FlightManifest) -> list[NDArray[np.float32]]:
        generator = np.random.default_rng(self.settings.seed)
        channels, side = len(draft.bands), self.graph.side
        return [
            smooth_image(channels=channels, height=side, width=side, generator=generator) for _ in range(_GENERATED)
        ]


def class_export(
    model: SegmentationModel,
    cache: object,
    ids_calibration: Sequence[str],
    ids_validation: Sequence[str],
    settings: object,
) -> ClassExport:
    """Prepare the export of a classifier.

    Raises:
        ExportError: settings or a cache for masks, other classes or another size than the model's, or no images.
    """
    if not isinstance(settings, ClassExportSettings):
        raise ExportError(f"a classifier is exported with ClassExportSettings, got {type(settings).__name__}")
    if not isinstance(cache, PackedCache) or cache.task != model.card.task or cache.classes != model.card.classes:
        raise ExportError(
            f"a {model.card.task} model of {len(model.card.classes)} classes is exported from a packed cache of the "
            "same task and classes; pack the data set that it was trained on"
        )
    if not ids_calibration or not ids_validation:
        raise ExportError("calibration and validation need at least one image each, got none")
    graph = class_graph(model, settings.thresholds)
    if cache.stack.shape[2:] != (graph.side, graph.side):
        raise ExportError(
            f"the network is for {graph.side} x {graph.side} px, the images have {cache.stack.shape[2]} x "
            f"{cache.stack.shape[3]} px; build it for their size, or resample them"
        )
    return ClassExport(
        graph=graph,
        cache=cache,
        calibration=tuple(ids_calibration),
        validation=tuple(ids_validation),
        settings=settings,
    )
