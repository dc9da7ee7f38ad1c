"""What a row tells of a network besides its scores: size, work, time of training and latency."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from satsqueeze.bench.latency import LatencySettings, measure_package
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row import BenchRow
from satsqueeze.core.files import read_json
from satsqueeze.core.package import read_manifest
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import COST_SIDE, cost
from satsqueeze.nets.model import build_model


def network_figures(card: ModelCard, *, trainings: Iterable[Path], package: Path) -> dict[str, Any]:
    """Values of a :class:`satsqueeze.bench.row.BenchRow`: costs, minutes of training and sizes of graphs.

    Args:
        card: of the network.
        trainings: folders of its trainings.
        package: a flight package of it; sizes are left out where there is none.
    """
    figures = cost(build_model(card, seed=0), height=COST_SIDE, width=COST_SIDE)
    found: dict[str, Any] = {
        "parameters": figures.parameters,
        "macs_per_pixel": figures.macs_per_pixel,
        "macs_input": f"{COST_SIDE}x{COST_SIDE}",
        "peak_activation_bytes": figures.peak_activation_bytes,
        "train_minutes": sum(read_json(place / "metrics.json")["seconds"] for place in trainings) / 60,
    }
    if package.exists():
        manifest = read_manifest(package)
        graphs = [graph for graph in manifest.graphs if graph.engine == "onnx"]
        sizes = {graph.precision: manifest.files[graph.file].bytes for graph in graphs}
        found |= {"fp32_bytes": sizes.get("fp32"), "int8_bytes": sizes.get("int8")}
    return found


def with_latency(row: BenchRow, package: Path) -> BenchRow:
    """The row with the latency of a package, measured here and now."""
    network, predict = measure_package(package, LatencySettings(engine="onnx"), precision=row.precision)  # type: ignore[arg-type]
    return row.model_copy(update={"latency": predict, "network_latency": network, "machine": this_machine()})
