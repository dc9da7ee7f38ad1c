"""A package of one 1x1 convolution with known answers (cloud where blue + nir > 0.8)."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import yaml
from rasterio import Affine

from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.core.package import seal

BANDS = ("blue", "nir")
THRESHOLD = 0.8


def write_graph(path, classes):
    onnx = pytest.importorskip("onnx")
    helper, floats, octets = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    weight = np.zeros((classes, 2, 1, 1), np.float32)
    weight[1] = 20
    bias = np.zeros(classes, np.float32)
    bias[1] = -20 * THRESHOLD
    bias[2:] = -1000
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["reflectance", "weight", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
            helper.make_node("Cast", ["classes"], ["mask"], to=octets),
        ],
        "threshold",
        [helper.make_tensor_value_info("reflectance", floats, ["N", 2, "H", "W"])],
        [
            helper.make_tensor_value_info("mask", octets, ["N", "H", "W"]),
            helper.make_tensor_value_info("probabilities", floats, ["N", classes, "H", "W"]),
        ],
        [onnx.numpy_helper.from_array(weight, "weight"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def _write_package(folder, classes=("clear", "cloud"), foreground=(1,), **changes):
    folder.mkdir(parents=True)
    write_graph(folder / "fp32.onnx", len(classes))
    bands = tuple(PackageBand(name=name, wavelength_nm=500, gsd_m=10) for name in BANDS)
    fields = {
        "name": "threshold",
        "description": "test",
        "bands": bands,
        "classes": classes,
        "foreground": foreground,
        "scaling": PackageScaling(bands=BANDS, mean=(0, 0), std=(1, 1), low=-1, high=2),
        "size_multiple": 8,
        "receptive_field": 0,
        "parameters": 6,
        "macs_per_pixel": 4.0,
        "macs_input": "32x32",
        "graphs": (Graph(file="fp32.onnx", precision="fp32", engine="onnx"),),
        "default_graph": "fp32.onnx",
        **changes,
    }
    seal(folder, FlightManifest(**fields))
    return folder


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    return _write_package(tmp_path_factory.mktemp("packages") / "tiny")


def _write_scene(folder, name, *, image, label=None):
    """An image (2, H, W) as uint16 DN = 10000 x reflectance with band names, and its label."""
    profile = {"driver": "GTiff", "crs": "EPSG:32631", "transform": Affine(10, 0, 600000, 0, -10, 5000000)}
    arrays = {"images": np.round(np.asarray(image) * 10000).astype(np.uint16)}
    if label is not None:
        arrays["labels"] = np.asarray(label, np.uint8)[None]
    for kind, array in arrays.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        shape = {"count": array.shape[0], "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype}
        with rasterio.open(folder / kind / f"{name}.tif", "w", **profile, **shape) as target:
            target.write(array)
            if kind == "images":
                target.descriptions = BANDS


def _write_card(folder, **fields):
    card = {
        "name": "made",
        "licence": "none",
        "radiometry": "scale:0.0001",
        "classes": ["clear", "cloud"],
        "foreground": [1],
        "images": "images/{name}.tif",
        "labels": "labels/{name}.tif",
        "group": "{name}",
        **fields,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(card))


@pytest.fixture(scope="session")
def write_package():
    return _write_package


@pytest.fixture(scope="session")
def write_scene():
    return _write_scene


@pytest.fixture(scope="session")
def write_card():
    return _write_card
