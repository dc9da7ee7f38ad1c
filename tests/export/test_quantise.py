"""u8s8, per channel, scaling in float; and a network that cannot be rounded as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from satsqueeze.core.manifest import Graph
from satsqueeze.export.fallback import Search, quantise_within
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.export.quantise import Drift, Quantiser, feeds
from satsqueeze.export.validation import Verdict

ZOO = Path(__file__).parents[2] / "zoo"


@pytest.fixture(scope="module")
def quantised(exported, windows, tmp_path_factory):
    quantiser = Quantiser(exported[1])
    path = tmp_path_factory.mktemp("quantised") / "int8.onnx"
    ranges = quantiser.calibrate(feeds(windows), "minmax")
    quantiser.write(path, ranges)
    return quantiser, ranges, path


def producers(proto):
    return {output: node for node in proto.graph.node for output in node.output}


def test_activations_are_unsigned_and_weights_signed_per_channel(quantised):
    proto = onnx.load(quantised[2])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    made = producers(proto)
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[2]].dtype == np.uint8
        if node.op_type == "Conv":
            weights = made[node.input[1]]
            assert weights.op_type == "DequantizeLinear"
            assert constants[weights.input[0]].dtype == np.int8
            assert constants[weights.input[1]].size == constants[weights.input[0]].shape[0]
            assert made[node.input[0]].op_type == "DequantizeLinear"


def test_scaling_and_decision_stay_in_float(quantised):
    proto = onnx.load(quantised[2])
    made = producers(proto)
    for node in proto.graph.node:
        if node.name.startswith(("model/", "flight/")) and node.input[0] in made and node.name != "flight/ReduceMax":
            taken_from_head = made[node.input[0]].op_type == "DequantizeLinear"
            assert not taken_from_head or node.op_type in ("Sub", "Gather")


def test_layers_asked_for_stay_in_float(quantised, tmp_path):
    quantiser, ranges, _ = quantised
    name = "net.stages.1.1.0/Conv"
    quantiser.write(tmp_path / "g.onnx", ranges, (name,))
    proto = onnx.load(tmp_path / "g.onnx")
    stored = {tensor.name for tensor in proto.graph.initializer}
    kept = next(node for node in proto.graph.node if node.name == name)
    others = [node for node in proto.graph.node if node.op_type == "Conv" and node.name != name]
    assert kept.input[1] in stored
    assert all(node.input[1] not in stored for node in others)


def test_operators_stand_after_those_that_they_read(quantised):
    # Runtimes other than onnxruntime insist on it, as the standard does.
    onnx.checker.check_model(onnx.load(quantised[2]), full_check=True)


@pytest.mark.parametrize("path", sorted(ZOO.glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_graphs_that_ship_are_valid(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_writing_twice_gives_the_same_bytes(quantised, tmp_path):
    quantiser, ranges, path = quantised
    quantiser.write(tmp_path / "again.onnx", ranges)
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_metadata_goes_with_the_graph(quantised):
    assert {p.key: p.value for p in onnx.load(quantised[2]).metadata_props}["key"] == "value"


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_every_calibration_stays_near_the_float_graph(quantised, exported, windows, tmp_path, method, capsys):
    quantiser = quantised[0]
    quantiser.write(tmp_path / "g.onnx", quantiser.calibrate(feeds(windows[:2]), method))
    assert Drift(exported[1], feeds(windows), threads=1).of(tmp_path / "g.onnx") < 0.1
    assert capsys.readouterr().out == ""


def test_drift_of_the_float_graph_is_zero(exported, windows):
    assert Drift(exported[1], feeds(windows[:1]), threads=1).of(exported[1]) == 0


@pytest.fixture
def sensitive(make_model):
    """The same function, but one channel a thousand times larger than its neighbours, and divided by as much after."""
    model = make_model()
    first, second = model.net.stages[1][1], model.net.stages[1][2]
    with torch.no_grad():
        first[1].weight[0] *= 1000
        first[1].bias[0] *= 1000
        second[0].weight[:, 0] /= 1000
    return model


def test_the_search_finds_what_cannot_be_rounded(sensitive, model, windows, tmp_path):
    image = torch.from_numpy(np.stack(windows[:1]))
    with torch.no_grad():
        torch.testing.assert_close(sensitive(image), model(image), atol=1e-3, rtol=1e-3)
    export_fp32(flight_graph(sensitive), tmp_path / "fp32.onnx")
    quantiser, drift = Quantiser(tmp_path / "fp32.onnx"), Drift(tmp_path / "fp32.onnx", feeds(windows[:2]), threads=1)
    ranges = quantiser.calibrate(feeds(windows), "minmax")

    def build(float_layers):
        quantiser.write(tmp_path / "int8.onnx", ranges, float_layers)
        return Graph(file="int8.onnx", precision="int8", engine="onnx", float_layers=tuple(float_layers))

    def judge(graph):
        loss = drift.of(tmp_path / graph.file)
        return Verdict(jaccard=1 - loss, reference_jaccard=1.0, loss=loss, agreement=1.0, images=2, truth="labels")

    assert judge(build(())).loss > 0.15
    found = quantise_within(
        Search(
            layers=quantiser.layers,
            build=build,
            drift=lambda graph: drift.of(tmp_path / graph.file),
            judge=judge,
            allowed_loss=0.08,
            allowed_share=0.5,
        )
    )
    assert set(found.graph.float_layers) == {"net.stages.1.1.0/Conv", "net.stages.1.2.0/Conv"}
