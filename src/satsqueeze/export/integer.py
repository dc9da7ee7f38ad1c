"""The int8 graphs of a package: calibrated, searched, judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onnxruntime.quantization.calibrate import TensorsData

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.export.fallback import Builder, Found, Search, quantise_within
from satsqueeze.export.openvino import write_openvino
from satsqueeze.export.quantise import Calibration, Drift, Feed, Quantiser
from satsqueeze.export.validation import Judge
from satsqueeze.flight.engines.engine import has_openvino

INT8 = "int8.onnx"
OPENVINO = "int8.xml"


@dataclass(frozen=True, kw_only=True)
class IntegerBench:
    """What quantising and judging takes."""

    folder: Path
    """Where graphs lie."""
    fp32: str
    """File of the float graph."""
    calibration: Sequence[Feed]
    """Windows that set the ranges of activations."""
    drift: Drift
    validator: Judge
    allowed_loss: float
    """Of the score that is guarded."""
    allowed_share: float
    """Of layers in float."""

    def find(self, layers: Sequence[str], build: Builder) -> Found:
        """The int8 graph with the fewest layers in float that keeps within the allowed loss.

        Raises:
            ParityError: there is none.
        """
        return quantise_within(
            Search(
                layers=tuple(layers),
                build=build,
                drift=lambda graph: self.drift.of(self.folder / graph.file),
                judge=lambda graph: self.validator.judge(graph, self.folder),
                allowed_loss=self.allowed_loss,
                allowed_share=self.allowed_share,
            )
        )


@dataclass(frozen=True, kw_only=True)
class IntegerGraphs:
    """Int8 graphs that passed, and how they came about."""

    found: dict[str, Found] = field(default_factory=dict)
    """By file."""
    calibration: str = ""
    drifts: dict[str, float] = field(default_factory=dict)
    """Per calibration method."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Optional graphs that were not made or did not pass, with the reason."""

    def listed(self, draft: FlightManifest, *, default: Literal["int8", "fp32"]) -> FlightManifest:
        """A manifest with these graphs beside the float one."""
        every = (*draft.graphs, *(entry.graph for entry in self.found.values()))
        return draft.model_copy(
            update={"graphs": every, "default_graph": INT8 if default == "int8" else draft.default_graph}
        )


def integer_graphs(bench: IntegerBench, *, methods: Sequence[Calibration], openvino: bool) -> IntegerGraphs:
    """Write the int8 graphs for onnxruntime and, where installed, for OpenVINO.

    Args:
        bench: see there.
        methods: calibrations to try for onnxruntime; the one with the least drift is taken.
        openvino: whether to convert that graph for OpenVINO. It is optional: where it fails the gate it is not shipped.

    Raises:
        ParityError: onnxruntime's graph loses too much; names the layers.
    """
    quantiser = Quantiser(bench.folder / bench.fp32)
    ranges: dict[Calibration, TensorsData] = {}
    drifts: dict[str, float] = {}
    for method in methods:
        ranges[method] = quantiser.calibrate(bench.calibration, method)
        quantiser.write(bench.folder / INT8, ranges[method])
        drifts[method] = bench.drift.of(bench.folder / INT8)
    best = min(methods, key=lambda method: drifts[method])

    def build(float_layers: Sequence[str]) -> Graph:
        quantiser.write(bench.folder / INT8, ranges[best], float_layers)
        return Graph(file=INT8, precision="int8", engine="onnx", float_layers=tuple(float_layers))

    found = {INT8: bench.find(quantiser.layers, build)}
    left_out = {}
    if openvino and has_openvino():
        try:
            found[OPENVINO] = _converted(bench, found[INT8].graph)
        except ExportError as error:
            left_out[OPENVINO] = str(error)
            _remove(bench.folder / OPENVINO)
    else:
        left_out[OPENVINO] = "openvino is not installed" if openvino else "switched off"
    return IntegerGraphs(found=found, calibration=best, drifts=drifts, left_out=left_out)


def _converted(bench: IntegerBench, graph: Graph) -> Found:
    """Onnxruntime's int8 graph in OpenVINO's format, judged as OpenVINO runs it."""
    write_openvino(bench.folder / graph.file, bench.folder / OPENVINO)
    converted = graph.model_copy(update={"file": OPENVINO, "engine": "openvino"})
    verdict = bench.validator.judge(converted, bench.folder)
    if not verdict.loss <= bench.allowed_loss:
        raise ParityError(f"loses {verdict.loss:.4f} in OpenVINO, allowed is {bench.allowed_loss:g}; fly {graph.file}")
    return Found(graph=converted, verdict=verdict, sensitivity={})


def _remove(path: Path) -> None:
    for suffix in (".xml", ".bin"):
        path.with_suffix(suffix).unlink(missing_ok=True)
