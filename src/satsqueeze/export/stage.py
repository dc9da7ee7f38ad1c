"""The export stage: from a trained model to a proven flight package."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import SENSORS
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import write_json
from satsqueeze.core.package import (
    FlightManifest,
    Graph,
    PackageBand,
    PackageScaling,
    Quality,
    assembling,
    seal,
)
from satsqueeze.core.run import plain
from satsqueeze.export.deepness import deepness_metadata
from satsqueeze.export.integer import INT8, IntegerBench, IntegerGraphs, integer_graphs
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.export.parity import ParityReport, check_float, check_sizes
from satsqueeze.export.quantise import Drift
from satsqueeze.export.samples import ImageCache, Samples
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stac import model_item, write_item
from satsqueeze.export.validation import Validator
from satsqueeze.export.vectors import make_vectors, smooth_image
from satsqueeze.flight.verify import verify_package
from satsqueeze.nets.cost import cost, receptive_field
from satsqueeze.nets.model import SegmentationModel

FP32 = "fp32.onnx"
VECTORS = "vectors.npz"
ITEM = "item.json"
PARITY = "parity.json"
COST_SIDE = 256
"""Input size at which MACs are counted, raised to a multiple of the model's ``size_multiple``."""


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
        ExportError: the model cannot be exported, or there are no images.
        PackageError: ``folder`` is something else than a package.
    """
    bands = model.card.bands
    export = _Export(
        model=model,
        calibration=Samples(cache, tuple(ids_calibration), bands),
        validation=Samples(cache, tuple(ids_validation), bands),
        settings=settings,
    )
    with assembling(Path(folder)) as part:
        draft = export.draft(name=name, description=description).model_copy(
            update={"quality": tuple(quality), "training": plain(dict(training or {}))}
        )
        manifest, report = export.graphs(part, draft)
        write_json(part / PARITY, report.to_dict())
        make_vectors(part, manifest, seed=settings.seed).write(part / VECTORS)
        write_item(part / ITEM, model_item(manifest, architecture=model.card.family))
        sealed = seal(part, manifest.model_copy(update={"parity": report.to_dict(), "vectors": VECTORS}))
        verify_package(part, threads=settings.threads)
    return sealed


@dataclass(frozen=True)
class _Export:
    """One run of the stage: what goes in, and the steps that share it."""

    model: SegmentationModel
    calibration: Samples
    validation: Samples
    settings: ExportSettings

    def draft(self, *, name: str, description: str) -> FlightManifest:
        """Everything that is known before a graph exists; its only graph is the float one."""
        card, multiple = self.model.card, self.model.size_multiple
        side = -(-COST_SIDE // multiple) * multiple
        found = cost(self.model, height=side, width=side)
        reach, invariant = self._reach()
        known = SENSORS[self.settings.sensor]
        coarsest = max((known[band].gsd_m for band in card.bands if band in known), default=10.0)
        return FlightManifest(
            name=name,
            description=description,
            bands=tuple(
                PackageBand(
                    name=band,
                    wavelength_nm=known[band].wavelength_nm if band in known else 0.0,
                    gsd_m=known[band].gsd_m if band in known else coarsest,
                )
                for band in card.bands
            ),
            classes=card.classes,
            foreground=card.foreground,
            scaling=PackageScaling.of(card.scaling),
            size_multiple=multiple,
            receptive_field=reach,
            window_invariant=invariant,
            parameters=found.parameters,
            macs_per_pixel=found.macs_per_pixel,
            macs_input=f"{side}x{side}",
            graphs=(Graph(file=FP32, precision="fp32", engine="onnx"),),
            default_graph=FP32,
            versions=_versions(),
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
        report = ParityReport(
            fp32=fp32,
            sizes=sizes,
            int8={file: entry.verdict for file, entry in integer.found.items()},
            allowed_loss=self.settings.jaccard_loss,
            sensitivity={file: entry.sensitivity for file, entry in integer.found.items()},
            calibration=integer.calibration,
            drifts=integer.drifts,
            left_out=integer.left_out,
        )
        default = INT8 if self.settings.default == "int8" else FP32
        every = (*draft.graphs, *(entry.graph for entry in integer.found.values()))
        return draft.model_copy(update={"graphs": every, "default_graph": default}), report

    def _int8(self, folder: Path, draft: FlightManifest) -> IntegerGraphs:
        """Int8 graphs, proven."""
        settings = self.settings
        bench = IntegerBench(
            folder=folder,
            fp32=FP32,
            calibration=self._windows(self.calibration, settings.calibration_windows),
            drift=Drift(
                folder / FP32, self._windows(self.validation, settings.ranking_windows), threads=settings.threads
            ),
            validator=Validator(self.validation, draft, folder, threads=settings.threads),
            allowed_loss=settings.jaccard_loss,
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
        sides = [max(4 * multiple, -(-long // multiple) * multiple), 2 * multiple]
        return [
            smooth_image(channels=channels, height=side, width=side + multiple, generator=generator) for side in sides
        ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("satsqueeze", "torch", "onnx", "onnxruntime", "openvino", "nncf", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
