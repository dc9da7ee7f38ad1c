"""The export stage: from a trained model to a proven flight package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import ExportError, ParityError, SettingsError
from satsqueeze.core.files import write_json
from satsqueeze.core.manifest import FlightManifest, Quality
from satsqueeze.core.package import assembling, seal
from satsqueeze.core.rows import RowStream
from satsqueeze.core.run import plain
from satsqueeze.core.window import up
from satsqueeze.export.class_stage import class_export
from satsqueeze.export.deepness import deepness_metadata
from satsqueeze.export.draft import FP32, draft_manifest
from satsqueeze.export.integer import INT8, IntegerBench, IntegerGraphs, integer_graphs
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.export.parity import ParityReport, check_float, check_sizes
from satsqueeze.export.quantise import Drift, feeds
from satsqueeze.export.rows import proven_rows
from satsqueeze.export.samples import ImageCache, Samples
from satsqueeze.export.series_stage import series_export
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stac import model_item, write_item
from satsqueeze.export.stream import UnstreamableError
from satsqueeze.export.validation import Validator
from satsqueeze.export.vectors import make_vectors, smooth_image
from satsqueeze.flight.verify import verify_package
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.cost import COST_SIDE
from satsqueeze.nets.flight_model import PACKAGE_CARD
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.receptive import receptive_field

VECTORS = "vectors.npz"
ITEM = "item.json"
PARITY = "parity.json"


def export_package(  # noqa: PLR0917 - what goes in and where to, in the order of the work
    model: SegmentationModel,
    cache: ImageCache,
    ids_calibration: Sequence[str],
    ids_validation: Sequence[str],
    settings: ExportSettings,
    folder: Path | str,
    *,
    name: str,
    description: str,
    quality: Sequence[Quality] = (),
    training: Mapping[str, Any] | None = None,
) -> FlightManifest:
    """Export, quantise, prove, describe and seal a model; nothing is left unless all of it succeeds.

    A classifier is exported with :class:`ClassExportSettings`, from a packed cache whose labels are of whole images; a
    network over dates from a packed cache whose images are dates of places.

    Args:
        model: trained model; left as it is.
        cache: packed images and labels, with at least the model's bands.
        ids_calibration: images that set the ranges of int8 activations, from the training side.
        ids_validation: images on which int8 is judged.
        settings: see :class:`ExportSettings`.
        folder: of the package; an older package there is replaced.
        name: of the package.
        description: one sentence for people.
        quality: measured scores with their protocols.
        training: how the model was made, JSON-ready.

    Raises:
        ParityError: the exported graph differs from the model, or int8 loses too much; names the layers.
        ExportError: the model cannot be exported or have a buffer, or there are no images.
        PackageError: ``folder`` is something else than a package, or the finished one does not verify.
    """
    export = _export_of(model, cache, ids_calibration, ids_validation, settings)
    with assembling(Path(folder)) as part:
        draft = export.draft(name=name, description=description).model_copy(
            update={"quality": tuple(quality), "training": plain(dict(training or {}))}
        )
        manifest, report = export.graphs(part, draft)
        write_json(part / PARITY, report.to_dict())
        write_json(part / PACKAGE_CARD, model.card.to_dict())
        make_vectors(part, manifest, seed=settings.seed).write(part / VECTORS)
        write_item(part / ITEM, model_item(manifest, architecture=_architecture(model)))
        sealed = seal(part, manifest.model_copy(update={"parity": report.to_dict(), "vectors": VECTORS}))
        verify_package(part, threads=settings.threads)
    return sealed


class _Exporter(Protocol):
    """What differs between tasks."""

    def draft(self, *, name: str, description: str) -> FlightManifest: ...

    def graphs(self, folder: Path, draft: FlightManifest) -> tuple[FlightManifest, ParityReport]: ...


def _export_of(
    model: SegmentationModel,
    cache: ImageCache,
    ids_calibration: Sequence[str],
    ids_validation: Sequence[str],
    settings: ExportSettings,
) -> _Exporter:
    if model.card.task != "segmentation":
        return class_export(model, cache, ids_calibration, ids_validation, settings)
    if model.card.family == SERIES_FAMILY:
        return series_export(model, cache, ids_calibration, ids_validation, settings)
    bands = model.card.bands
    return _Export(
        model=model,
        calibration=Samples(cache, tuple(ids_calibration), bands),
        validation=Samples(cache, tuple(ids_validation), bands),
        settings=settings,
    )


def _architecture(model: SegmentationModel) -> str:
    config = model.card.config
    return config.model if isinstance(config, ClassifierConfig) else model.card.family


@dataclass(frozen=True)
class _Export:
    """One run of the stage for segmentation: what goes in, and the steps that share it."""

    model: SegmentationModel
    calibration: Samples
    validation: Samples
    settings: ExportSettings

    def draft(self, *, name: str, description: str) -> FlightManifest:
        """Everything that is known before a graph exists; its only graph is the float one."""
        multiple = self.model.size_multiple
        side = up(COST_SIDE, multiple)
        reach, invariant = self._reach()
        if self.settings.buffer_m and not invariant:
            raise ExportError(
                f"a buffer of {self.settings.buffer_m:g} m was asked for, but this network looks at its whole input "
                "and its tiles are blended; export it with buffer_m 0"
            )
        return draft_manifest(
            self.model,
            name=name,
            description=description,
            sensor=self.settings.sensor,
            side=side,
            fields={
                "receptive_field": reach,
                "window_invariant": invariant,
                "buffer_m": self.settings.buffer_m,
            },
        )

    def _reach(self) -> tuple[int, bool]:
        """Receptive field in pixels on each side, and whether results depend on it alone."""
        try:
            return receptive_field(self.model), self.model.window_invariant
        except SettingsError:
            # Unknown: then tiles are blended, as for networks that look at the whole input.
            return 0, False

    def graphs(self, folder: Path, draft: FlightManifest) -> tuple[FlightManifest, ParityReport]:
        """Write and prove all graphs; returns the manifest that lists them and what was measured."""
        graph = flight_graph(self.model, self.settings.logit_bias)
        export_fp32(graph, folder / FP32, metadata=deepness_metadata(draft, self.settings.deepness))
        generated = self._generated(draft)
        images = [*generated, *self._windows(self.validation, self.settings.ranking_windows)]
        fp32 = check_float(graph, folder / FP32, images, tolerance=self.settings.tolerance)
        sizes = check_sizes(graph, draft, folder / FP32, generated[0], tolerance=self.settings.tolerance)
        integer = self._int8(folder, draft) if self.settings.int8 else IntegerGraphs()
        stream, reason = self._rows(folder, draft) if INT8 in integer.found else (None, {})
        integer = replace(integer, left_out={**integer.left_out, **reason})
        report = ParityReport.of(fp32, sizes, integer, allowed_loss=self.settings.allowed_loss)
        return integer.listed(draft, default=self.settings.default).model_copy(update={"stream": stream}), report

    def _rows(self, folder: Path, draft: FlightManifest) -> tuple[RowStream | None, dict[str, str]]:
        """The int8 graph once more, for rows; or why not, which costs speed and memory alone."""
        if not draft.window_invariant:
            return None, {}
        try:
            return proven_rows(folder, INT8, draft), {}
        except (UnstreamableError, ParityError) as error:
            return None, {"rows": str(error)}

    def _int8(self, folder: Path, draft: FlightManifest) -> IntegerGraphs:
        """Int8 graphs, proven."""
        settings = self.settings
        bench = IntegerBench(
            folder=folder,
            fp32=FP32,
            calibration=feeds(self._windows(self.calibration, settings.calibration_windows)),
            drift=Drift(
                folder / FP32, feeds(self._windows(self.validation, settings.ranking_windows)), threads=settings.threads
            ),
            validator=Validator(self.validation, draft, folder, threads=settings.threads),
            allowed_loss=settings.allowed_loss,
            allowed_share=settings.float_share,
        )
        return integer_graphs(bench, methods=settings.calibrations, openvino=settings.openvino == "auto")

    def _windows(self, samples: Samples, count: int) -> list[NDArray[np.float32]]:
        return samples.windows(
            count=count,
            side=self.settings.calibration_side,
            multiple=self.model.size_multiple,
            seed=self.settings.seed,
        )

    def _generated(self, draft: FlightManifest) -> list[NDArray[np.float32]]:
        """A generated image large enough to be cut into tiles, and a small one."""
        generator = np.random.default_rng(self.settings.seed)
        multiple, channels = draft.size_multiple, len(draft.bands)
        long = min(6 * multiple + 4 * draft.receptive_field, 768)
        sides = [max(4 * multiple, up(long, multiple)), 2 * multiple]
        return [
            smooth_image(channels=channels, height=side, width=side + multiple, generator=generator) for side in sides
        ]
