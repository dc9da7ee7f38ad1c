"""A flight package made by hand, without torch: a U-shaped graph small enough to write down."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.core.package import seal
from satsqueeze.flight.engines.onnx_engine import OnnxEngine
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.vectors import TestVectors

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")
MULTIPLE = 4
REACH = 12
"""Two 3x3 at full resolution, one 3x3 at a quarter, and the pooling cells: 1 + 1 + 4 + 3, rounded up."""


def hand_made_graph(*, seed=0, reach_further=False):
    """Conv, pool by 4, conv, up-sample, concatenate, conv, 1x1: float32 graph with the flight contract.

    ``reach_further`` takes a mean over the whole input in, as instance normalisation would.
    """
    generator = np.random.default_rng(seed)
    weights, nodes = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=f"net.{output}/{op}", **attributes))
        return output

    def conv(x, name, inputs, outputs, kernel):
        shape = (outputs, inputs, kernel, kernel)
        spread = np.sqrt(2 / (inputs * kernel**2))
        w = constant(f"{name}.w", (generator.normal(size=shape) * spread).astype(np.float32))
        b = constant(f"{name}.b", generator.normal(size=outputs).astype(np.float32) * np.float32(0.1))
        return node("Conv", [x, w, b], name, kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4)

    limits = [constant("low", np.float32(-0.2)), constant("high", np.float32(2.0))]
    x = node("Clip", ["reflectance", *limits], "clipped")
    x = node("Sub", [x, constant("mean", np.full((4, 1, 1), 0.5, np.float32))], "centred")
    x = node("Div", [x, constant("std", np.full((4, 1, 1), 0.25, np.float32))], "scaled")
    if reach_further:
        mean = node("ReduceMean", [x, constant("axes", np.array([2, 3], np.int64))], "mean_of_all", keepdims=1)
        x = node("Sub", [x, mean], "normalised")
    fine = node("Relu", [conv(x, "c1", 4, 6, 3)], "r1")
    deep = node("MaxPool", [fine], "pooled", kernel_shape=[4, 4], strides=[4, 4])
    deep = node("Relu", [conv(deep, "c2", 6, 8, 3)], "r2")
    roi = constant("roi", np.array([], np.float32))
    scales = constant("scales", np.array([1, 1, 4, 4], np.float32))
    up = node(
        "Resize", [deep, roi, scales], "up", mode="nearest",
        nearest_mode="floor", coordinate_transformation_mode="asymmetric",
    )  # fmt: skip
    x = node("Concat", [up, fine], "cat", axis=1)
    x = node("Relu", [conv(x, "c3", 14, 6, 3)], "r3")
    logits = conv(x, "head", 6, 4, 1)
    sharp = node("Mul", [logits, constant("three", np.float32(3))], "logits")
    node("Softmax", [sharp], "probabilities", axis=1)
    best = node("ArgMax", [sharp], "best", axis=1, keepdims=0)
    node("Cast", [best], "mask", to=TensorProto.UINT8)

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes,
        "flight",
        [value("reflectance", TensorProto.FLOAT, ["batch", 4, "height", "width"])],
        [
            value("probabilities", TensorProto.FLOAT, ["batch", 4, "height", "width"]),
            value("mask", TensorProto.UINT8, ["batch", "height", "width"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


class Windows(CalibrationDataReader):
    def __init__(self):
        self.left = [{"reflectance": smooth_scene(64, 64, seed=i)[None]} for i in range(3)]

    def get_next(self):
        return self.left.pop() if self.left else None


def smooth_scene(height, width, *, seed=0, channels=4):
    """Float32 reflectance (C, H, W): waves of several lengths, so that the classes vary everywhere."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    image = np.full((channels, height, width), 0.5)
    for _ in range(12):
        fy, fx = generator.normal(size=2) * 0.25
        phase = generator.uniform(0, 2 * np.pi, size=(channels, 1, 1)) * 0.3 + generator.uniform(0, 6)
        image += 0.12 * np.sin(rows * fy + cols * fx + phase)
    return np.clip(image, 0, 1.5).astype(np.float32)


def manifest_of(graphs, *, window_invariant=True):
    return FlightManifest(
        name="hand-made",
        description="A graph written down by hand.",
        bands=tuple(PackageBand(name=b, wavelength_nm=500.0, gsd_m=10.0) for b in BANDS),
        classes=CLASSES,
        foreground=(1, 2),
        scaling=PackageScaling(bands=BANDS, mean=(0.5,) * 4, std=(0.25,) * 4, low=-0.2, high=2.0),
        size_multiple=MULTIPLE,
        receptive_field=REACH,
        window_invariant=window_invariant,
        parameters=1000,
        macs_per_pixel=1000.0,
        macs_input="64x64",
        graphs=tuple(graphs),
        default_graph=graphs[-1].file,
    )


def write_package(folder, *, seed=0, reach_further=False, vectors=True):
    folder.mkdir(parents=True)
    onnx.save(hand_made_graph(seed=seed, reach_further=reach_further), folder / "fp32.onnx")
    quantize_static(
        folder / "fp32.onnx", folder / "int8.onnx", Windows(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Relu", "MaxPool", "Concat", "Resize"],
    )  # fmt: skip
    graphs = [
        Graph(file="fp32.onnx", precision="fp32", engine="onnx"),
        Graph(file="int8.onnx", precision="int8", engine="onnx"),
    ]
    manifest = manifest_of(graphs, window_invariant=not reach_further)
    if vectors:
        images = [smooth_scene(32, 40), smooth_scene(5, 7, seed=1), smooth_scene(1, 1, seed=2)]
        images[0][:, 3:6, 4:9] = np.nan
        expected = {}
        for graph in graphs:
            model = FlightModel(manifest, graph=graph, engine=OnnxEngine(folder / graph.file, threads=1))
            found = [model.predict(image, BANDS, probabilities=True) for image in images]
            expected[graph.file] = tuple((p.mask, p.probabilities) for p in found)
        TestVectors(images=tuple(images), expected=expected).write(folder / "vectors.npz")
        manifest = manifest.model_copy(update={"vectors": "vectors.npz"})
    seal(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A sealed package; tests that change it take a copy."""
    return write_package(tmp_path_factory.mktemp("package") / "hand-made")


@pytest.fixture(scope="session")
def global_package(tmp_path_factory):
    """A package whose network looks at the whole input."""
    return write_package(tmp_path_factory.mktemp("package") / "global", reach_further=True)


@pytest.fixture(scope="session")
def scene():
    """``scene(height, width, seed=0, channels=4)``: smooth float32 reflectance."""
    return smooth_scene


@pytest.fixture(scope="session")
def make_manifest():
    return manifest_of


@pytest.fixture(scope="session")
def make_package():
    return write_package
