"""OpenVINO's int8, where it is installed."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.export.openvino import has_nncf, write_openvino_int8
from satsqueeze.export.quantise import Drift, Quantiser
from satsqueeze.flight.engine import open_engine

installed = pytest.mark.skipif(not has_nncf(), reason="openvino or nncf is not installed")


def quantised_layers(path):
    """Layers whose input comes from a quantiser."""
    import openvino

    graph = openvino.Core().read_model(path)
    return {
        op.friendly_name.removesuffix("/WithoutBiases")
        for op in graph.get_ops()
        if op.get_type_name() in ("Convolution", "ConvolutionBackpropData")
        and op.input_value(0).get_node().get_type_name() == "FakeQuantize"
    }


@installed
def test_near_the_float_graph_with_layers_left_alone(exported, windows, tmp_path, capsys):
    path, layers = tmp_path / "int8.xml", Quantiser(exported[1]).layers
    kept = ("net.stages.1.1.0/Conv", "net.stages.1.2.0/Conv")
    write_openvino_int8(exported[1], path, windows, float_layers=kept)
    assert capsys.readouterr().out == ""
    assert path.with_suffix(".bin").is_file()
    found = quantised_layers(path)
    assert found
    assert found <= set(layers) - set(kept)
    assert str(exported[1].parent).encode() not in path.read_bytes()
    assert Drift(exported[1], windows, threads=1).of(path) < 0.1
    assert open_engine("openvino", path, threads=1).run(windows[0][None], probabilities=True).mask.shape == (1, 64, 64)


def test_absent(exported, windows, tmp_path, monkeypatch):
    monkeypatch.setattr("satsqueeze.export.openvino.has_nncf", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"satsqueeze\[fast\]"):
        write_openvino_int8(exported[1], tmp_path / "int8.xml", windows)
