"""A tiny packed data set, and ONNX graphs whose answers are known."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import rasterio
import yaml
from onnx import TensorProto, helper, numpy_helper
from rasterio import Affine

from satsqueeze.core.files import write_json
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import CLASS_FORMAT_VERSION, CacheEntry, PackedCache, quantise
from satsqueeze.data.dataset import open_dataset

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "cloud")


def _write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 6e5, 0, -10, 5e6)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as target:
        target.write(values)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Six images of 40 x 36 px: bright halves are cloud, a corner has no data, the last one has no labels."""
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for number in range(6):
        cloud = np.zeros((40, 36), bool)
        cloud[:, (number * 5) % 18 : (number * 5) % 18 + 18] = True
        image = generator.uniform(0.05, 0.2, (4, 40, 36)) + 0.5 * cloud
        image[:, :4, :6] = 0
        _write(root / f"images/s{number}.tif", np.round(image * 10000).astype(np.uint16))
        if number < 5:
            _write(root / f"labels/s{number}.tif", cloud[None].astype(np.uint8))
    card = {
        "name": "halves",
        "bands": list(BANDS),
        "radiometry": "scale:0.0001",
        "nodata": 0,
        "classes": list(CLASSES),
        "foreground": [1],
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(card))
    labelled = {"name": "labelled", "path": ".", "overrides": {"images": "{above}images/{name:s[0-4]}.tif"}}
    bare = {
        "name": "bare",
        "path": ".",
        "role": "train",
        "overrides": {"images": "{above}images/{name:s5}.tif", "labels": [], "label_kind": "none"},
    }
    (root / "mix.yaml").write_text(yaml.safe_dump({"sources": [labelled, bare]}))
    return pack(open_dataset(root / "mix.yaml"), tmp_path_factory.mktemp("packed") / "cache")


def write_linear(path, weight, bias, *, layout="NCHW", softmax=True):
    """An ONNX graph of one 1x1 convolution (M, C), with a softmax or without."""
    weight = np.asarray(weight, np.float32)
    names = ["N", weight.shape[1], "H", "W"] if layout == "NCHW" else ["N", "H", "W", weight.shape[1]]
    outputs = ["N", len(weight), "H", "W"] if layout == "NCHW" else ["N", "H", "W", len(weight)]
    nodes = []
    first, last = "image", "answer"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]))
        first, last = "first", "last"
    nodes.append(helper.make_node("Conv", [first, "weight", "bias"], ["logits" if softmax else last]))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], [last], axis=1))
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["last"], ["answer"], perm=[0, 2, 3, 1]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, names)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, outputs)],
        [
            numpy_helper.from_array(weight[:, :, None, None], "weight"),
            numpy_helper.from_array(np.asarray(bias, np.float32), "bias"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(name="write_linear")
def write_linear_fixture():
    return write_linear


def write_class_cache(folder, *, shapes, classes=("field", "forest", "water"), task="classification", seed=0):
    """A packed cache of random images (4 bands) of these shapes, each of one class, or of some if multi-label."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    entries, stored, offset = [], [], 0
    for number, (height, width) in enumerate(shapes):
        image = generator.uniform(0.05, 0.6, (4, height, width)).astype(np.float32)
        stored.append(quantise(image, np.ones((height, width), bool)).ravel())
        targets = (number % len(classes),)
        if task == "multi-label":
            targets = tuple(int(value) for value in np.flatnonzero(generator.uniform(size=len(classes)) < 0.5))
        entries.append(
            CacheEntry(
                id=f"i{number}",
                source="random",
                groups=(),
                stratum="",
                role="",
                height=height,
                width=width,
                offset=offset,
                labelled=True,
                class_pixels=tuple(int(value in targets) for value in range(len(classes))),
                valid_pixels=height * width,
                gsd_m=10.0,
                targets=targets,
            )
        )
        offset += height * width
    np.concatenate(stored).tofile(folder / "images.i16")
    (folder / "labels.u8").touch()
    record = {
        "format_version": CLASS_FORMAT_VERSION,
        "task": task,
        "bands": list(BANDS),
        "classes": list(classes),
        "foreground": [],
        "weights": {},
        "entries": [entry.to_dict() for entry in entries],
        "quarantine": [],
        "fingerprint": f"random-{seed}-{task}-{len(shapes)}",
    }
    write_json(folder / "cache.json", record)
    return PackedCache(folder)


@pytest.fixture(name="write_class_cache")
def write_class_cache_fixture():
    return write_class_cache
