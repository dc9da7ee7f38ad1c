"""The int8 graphs of a package: which are kept."""

from __future__ import annotations

import shutil

import pytest

from satsqueeze.export.integer import INT8, OPENVINO, IntegerBench, integer_graphs
from satsqueeze.export.quantise import Drift, feeds
from satsqueeze.export.validation import Verdict
from satsqueeze.flight.engines.engine import has_openvino


class Strict:
    """Finds that a graph loses as much in OpenVINO as is said, and nothing in onnxruntime."""

    def __init__(self, loss):
        self.loss = loss

    def judge(self, graph, folder):
        assert (folder / graph.file).is_file()
        loss = self.loss if graph.engine == "openvino" else 0.0
        return Verdict(jaccard=0.9 - loss, reference_jaccard=0.9, loss=loss, agreement=1.0, images=1, truth="labels")


@pytest.fixture
def graphs_with(exported, windows, tmp_path):
    shutil.copy(exported[1], tmp_path / "fp32.onnx")

    def run(loss, *, openvino=True):
        bench = IntegerBench(
            folder=tmp_path, fp32="fp32.onnx", calibration=feeds(windows[:1]), validator=Strict(loss),
            allowed_loss=0.005, allowed_share=0.5, drift=Drift(tmp_path / "fp32.onnx", feeds(windows[:1]), threads=1),
        )  # fmt: skip
        return integer_graphs(bench, methods=("minmax",), openvino=openvino), {path.name for path in tmp_path.iterdir()}

    return run


@pytest.mark.skipif(not has_openvino(), reason="openvino is not installed")
@pytest.mark.parametrize(("loss", "kept"), [(0.004, True), (0.02, False), (float("nan"), False)])
def test_openvino_passes_its_own_gate_or_is_left_out(graphs_with, loss, kept):
    found, files = graphs_with(loss)
    assert (OPENVINO in found.found) is kept
    assert ({OPENVINO, "int8.bin"} <= files) is kept
    assert INT8 in files
    assert found.left_out == ({} if kept else {OPENVINO: found.left_out[OPENVINO]})
    if not kept:
        assert "in OpenVINO, allowed is 0.005; fly int8.onnx" in found.left_out[OPENVINO]


def test_openvino_switched_off_or_absent(graphs_with, monkeypatch):
    assert graphs_with(0.0, openvino=False)[0].left_out == {OPENVINO: "switched off"}
    monkeypatch.setattr("satsqueeze.export.integer.has_openvino", lambda: False)
    assert graphs_with(0.0)[0].left_out == {OPENVINO: "openvino is not installed"}
