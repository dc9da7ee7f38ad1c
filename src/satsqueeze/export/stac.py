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
from satsqueeze.core.package import FlightManifest
from satsqueeze.flight.engine import INPUT, MASK, PROBABILITIES

_EVERYWHERE = [-180.0, -90.0, 180.0, 90.0]
_MEDIA_TYPES = {"onnx": "application/octet-stream; framework=onnx", "openvino": "application/xml; framework=openvino"}


def model_item(manifest: FlightManifest, *, architecture: str, created: datetime | None = None) -> pystac.Item:
    """A STAC item that describes the package: bands by name, input, outputs, classes, size, files.

    Scaling is inside the graph, so the item asks for plain reflectance and states no value scaling.

    Args:
        manifest: the package's manifest; graphs are assets, relative to the item.
        architecture: such as ``U-Net``.
        created: when the model was made; None: now.
    """
    west, south, east, north = _EVERYWHERE
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = pystac.Item(
        id=manifest.name,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=list(_EVERYWHERE),
        datetime=created or datetime.now(UTC).replace(microsecond=0),
        properties={
            "description": manifest.description,
            "license": manifest.licence,
            "satsqueeze:size_multiple": manifest.size_multiple,
            "satsqueeze:receptive_field": manifest.receptive_field,
            "satsqueeze:window_invariant": manifest.window_invariant,
            "satsqueeze:macs_per_pixel": manifest.macs_per_pixel,
            "satsqueeze:quality": [quality.model_dump() for quality in manifest.quality],
        },
    )
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=manifest.name,
        architecture=architecture,
        tasks=[TaskType.SEMANTIC_SEGMENTATION],
        input=[_input(manifest)],
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


def _input(manifest: FlightManifest) -> ModelInput:
    return ModelInput.create(
        name=INPUT,
        bands=[ModelBand.create(name=name) for name in manifest.band_names],
        input=InputStructure.create(
            shape=[-1, len(manifest.bands), -1, -1],
            dim_order=["batch", "bands", "height", "width"],
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
    mask = ResultStructure.create(shape=[-1, -1, -1], dim_order=["batch", "height", "width"], data_type=DataType.UINT8)
    chances = ResultStructure.create(
        shape=[-1, len(classes), -1, -1], dim_order=["batch", "class", "height", "width"], data_type=DataType.FLOAT32
    )
    tasks = [TaskType.SEMANTIC_SEGMENTATION]
    return [
        ModelOutput.create(name=MASK, tasks=tasks, result=mask, classes=classes, description="Class of every pixel"),
        ModelOutput.create(
            name=PROBABILITIES, tasks=tasks, result=chances, classes=classes, description="Probability of every class"
        ),
    ]
