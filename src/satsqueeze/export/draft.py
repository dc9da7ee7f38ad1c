"""What the manifest of a package says before a graph exists."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from satsqueeze.core.bands import SENSORS
from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import SegmentationModel

FP32 = "fp32.onnx"


def draft_manifest(
    model: SegmentationModel, *, name: str, description: str, sensor: str, side: int, fields: Mapping[str, Any]
) -> FlightManifest:
    """A manifest whose only graph is the float one.

    Args:
        model: what is exported.
        name: of the package.
        description: one sentence for people.
        sensor: whose centre wavelengths and pixel sizes are recorded for the bands.
        side: of the input for which multiply-accumulates are counted, in pixels.
        fields: further fields of the manifest, such as its receptive field.
    """
    card, known = model.card, SENSORS[sensor]
    found = cost(model, height=side, width=side)
    coarsest = max((known[band].gsd_m for band in card.bands if band in known), default=10.0)
    record: dict[str, Any] = {
        "name": name,
        "description": description,
        "task": card.task,
        "bands": tuple(
            PackageBand(
                name=band,
                wavelength_nm=known[band].wavelength_nm if band in known else 0.0,
                gsd_m=known[band].gsd_m if band in known else coarsest,
            )
            for band in card.bands
        ),
        "classes": card.classes,
        "foreground": card.foreground,
        "scaling": PackageScaling.of(card.scaling),
        "size_multiple": model.size_multiple,
        "parameters": found.parameters,
        "macs_per_pixel": found.macs_per_pixel,
        "macs_input": f"{side}x{side}",
        "graphs": (Graph(file=FP32, precision="fp32", engine="onnx"),),
        "default_graph": FP32,
        "versions": _versions(),
    }
    return FlightManifest(**(record | dict(fields)))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("satsqueeze", "torch", "onnx", "onnxruntime", "openvino", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
