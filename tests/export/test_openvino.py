"""The int8 graph in OpenVINO's format, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import ExportError, MissingDependencyError
from satsqueeze.export.openvino import write_openvino
from satsqueeze.export.quantise import Quantiser, feeds
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import has_openvino

installed = pytest.mark.skipif(not has_openvino(), reason="openvino is not installed")


@installed
def test_rounds_where_onnxruntime_does(exported, windows, tmp_path, capsys):
    quantiser, graph, path = Quantiser(exported[1]), tmp_path / "int8.onnx", tmp_path / "int8.xml"
    quantiser.write(graph, quantiser.calibrate(feeds(windows), "minmax"))
    write_openvino(graph, path)
    assert capsys.readouterr().out == ""
    assert path.with_suffix(".bin").is_file()
    assert str(tmp_path).encode() not in path.read_bytes()
    ours, theirs = (open_engine(name, file, threads=1) for name, file in (("onnx", graph), ("openvino", path)))
    for window in windows:
        want = ours.run(window[None], probabilities=True).probabilities
        found = theirs.run(window[None], probabilities=True)
        # Engines break ties of rounding in ways of their own: a step of an integer now and then.
        assert np.abs(found.probabilities - want).mean() < 0.005
        np.testing.assert_array_equal(theirs.run(window[None], probabilities=False).mask, found.mask)


@installed
def test_what_it_cannot_read_is_an_error(tmp_path):
    (tmp_path / "int8.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="OpenVINO cannot convert"):
        write_openvino(tmp_path / "int8.onnx", tmp_path / "int8.xml")


def test_absent(exported, tmp_path, monkeypatch):
    monkeypatch.setattr("satsqueeze.export.openvino.has_openvino", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"satsqueeze\[fast\]"):
        write_openvino(exported[1], tmp_path / "int8.xml")
