"""The package as a STAC item with the Machine Learning Model extension, by pystac."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pystac
from pystac.extensions.classification import Classification
from pystac.extensions.mlm import (
    AcceleratorType,
    AssetGeneralMLMExtension,
    InputStructure,
    MLMExtension,
    ModelBand,
    ModelInput,
    ModelOutput,
    ResultStructure,
    TaskType,
)
from pystac.extensions.raster import DataType

from satsqueeze.core.files import write_json
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.flight.engines.engine import CLASS, CLASSES, DAYS, INPUT, MASK, PROBABILITIES

_TASKS = {
    "segmentation": TaskType.SEMANTIC_SEGMENTATION,
    "series": TaskType.SEMANTIC_SEGMENTATION,
    "classification": TaskType.SCENE_CLASSIFICATION,
    "multi-label": TaskType.SCENE_CLASSIFICATION,
}
_EVERYWHERE = [-180.0, -90.0, 180.0, 90.0]
_MEDIA_TYPES = {"onnx": "application/octet-stream; framework=onnx", "openvino": "application/xml; framework=openvino"}


def model_item(manifest: FlightManifest, *, architecture: str) -> pystac.Item:
    """A STAC item that describes the package: bands by name, input, outputs, classes, size, files.

    Scaling is inside the graph, so the item asks for plain reflectance and states no value scaling.

    Args:
        manifest: the package's manifest; graphs are assets, relative to the item.
        architecture: such as ``U-Net``.
    """
    west, south, east, north = _EVERYWHERE
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = pystac.Item(
        id=manifest.name,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=list(_EVERYWHERE),
        datetime=datetime.now(UTC).replace(microsecond=0),
        properties={
            "description": manifest.description,
            "license": manifest.licence,
            "satsqueeze:size_multiple": manifest.size_multiple,
            "satsqueeze:receptive_field": manifest.receptive_field,
            "satsqueeze:window_invariant": manifest.window_invariant,
            "satsqueeze:macs_per_pixel": manifest.macs_per_pixel,
            **({"satsqueeze:thresholds": list(manifest.thresholds)} if manifest.thresholds else {}),
            "satsqueeze:quality": [quality.model_dump() for quality in manifest.quality],
        },
    )
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=manifest.name,
        architecture=architecture,
        tasks=[_TASKS[manifest.task]],
        input=_inputs(manifest),
        output=_outputs(manifest),
        framework="ONNX",
        total_parameters=manifest.parameters,
        pretrained=True,
        batch_size_suggestion=1,
        accelerator=AcceleratorType.AMD64,
        accelerator_constrained=False,
    )
    for graph in manifest.graphs:
        asset = pystac.Asset(
            href=f"./{graph.file}",
            title=f"{graph.precision} graph for {graph.engine}",
            media_type=_MEDIA_TYPES[graph.engine],
            roles=["mlm:model", "data"],
        )
        item.add_asset(Path(graph.file).name, asset)
        AssetGeneralMLMExtension.ext(asset).apply(artifact_type=graph.engine)
    return item


def write_item(path: Path, item: pystac.Item) -> None:
    """Write the item as JSON without links, whole or not at all."""
    write_json(path, item.to_dict(include_self_link=False, transform_hrefs=False))


def _inputs(manifest: FlightManifest) -> list[ModelInput]:
    over_dates = manifest.task == "series"
    days = ModelInput.create(
        name=DAYS,
        bands=[],
        input=InputStructure.create(shape=[-1, -1], dim_order=["batch", "time"], data_type=DataType.FLOAT32),
        description="Day of the year of each date, counted from 1.",
    )
    return [_images(manifest, ["time"] * over_dates), *[days] * over_dates]


def _images(manifest: FlightManifest, time: list[str]) -> ModelInput:
    return ModelInput.create(
        name=INPUT,
        bands=[ModelBand.create(name=name) for name in manifest.band_names],
        input=InputStructure.create(
            shape=[-1, *[-1 for _ in time], len(manifest.bands), *(manifest.input_size or (-1, -1))],
            dim_order=["batch", *time, "bands", "height", "width"],
            data_type=DataType.FLOAT32,
        ),
        description=(
            "Reflectance, 0 where invalid; height and width are multiples of "
            f"{manifest.size_multiple} pixels. Scaling is inside the graph."
        ),
    )


def _outputs(manifest: FlightManifest) -> list[ModelOutput]:
    classes = [
        Classification.create(value=value, name=name.replace(" ", "-"), description=name)
        for value, name in enumerate(manifest.classes)
    ]
    tasks = [_TASKS[manifest.task]]
    name, mask, chances, description = _results(manifest)
    return [
        ModelOutput.create(name=name, tasks=tasks, result=mask, classes=classes, description=description),
        ModelOutput.create(
            name=PROBABILITIES, tasks=tasks, result=chances, classes=classes, description="Probability of every class"
        ),
    ]


def _results(manifest: FlightManifest) -> tuple[str, ResultStructure, ResultStructure, str]:
    """Name of the output that decides, its form and that of the probabilities, and what it says."""
    count = len(manifest.classes)
    if manifest.task in ("segmentation", "series"):
        name, shape, axes, planes = MASK, [-1, -1, -1], ["batch", "height", "width"], [-1, -1]
        description = "Class of every pixel"
    elif manifest.task == "classification":
        name, shape, axes, planes, description = CLASS, [-1], ["batch"], [], "Class of every image"
    else:
        name, shape, axes, planes = CLASSES, [-1, count], ["batch", "class"], []
        description = "1 for each class that an image has"
    plane_axes = ["height", "width"][: len(planes)]
    return (
        name,
        ResultStructure.create(shape=shape, dim_order=axes, data_type=DataType.UINT8),
        ResultStructure.create(
            shape=[-1, count, *planes], dim_order=["batch", "class", *plane_axes], data_type=DataType.FLOAT32
        ),
        description,
    )
