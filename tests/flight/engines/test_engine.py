"""Engines take flight graphs and nothing else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from satsqueeze.core.errors import MissingDependencyError, PackageError, SettingsError
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import has_openvino
from satsqueeze.flight.engines.onnx_engine import memory_told

ENGINES = ["onnx", pytest.param("openvino", marks=pytest.mark.skipif(not has_openvino(), reason="no openvino"))]


@pytest.mark.parametrize("name", ENGINES)
def test_a_batch_is_its_images(package, scene, name):
    engine = open_engine(name, package / "fp32.onnx", threads=1)
    batch = np.stack([scene(8, 12, seed=i) for i in range(3)])
    together = engine.run(batch, probabilities=True)
    assert together.mask.shape == (3, 8, 12)
    assert together.mask.dtype == np.uint8
    for i in range(3):
        alone = engine.run(batch[i : i + 1], probabilities=False)
        np.testing.assert_array_equal(alone.mask[0], together.mask[i])
        assert alone.probabilities is None


@pytest.mark.parametrize("name", ENGINES)
def test_results_outlive_the_next_run(package, scene, name):
    engine = open_engine(name, package / "fp32.onnx", threads=1)
    first = engine.run(scene(8, 8)[None], probabilities=True)
    kept = first.mask.copy(), first.probabilities.copy()
    engine.run(scene(8, 8, seed=9)[None], probabilities=True)
    np.testing.assert_array_equal(first.mask, kept[0])
    np.testing.assert_array_equal(first.probabilities, kept[1])


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (RuntimeException("QLinearConv: std::bad_alloc"), MemoryError),
        (Fail("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 74317824"), MemoryError),
        (Fail("something else"), Fail),
    ],
)
def test_memory_that_ran_out_is_told_in_terms_of_python(told, error):
    with pytest.raises(error, match=re.escape(str(told))), memory_told():
        raise told


@pytest.mark.parametrize("name", ENGINES)
def test_resting_changes_nothing(package, scene, name):
    engine = open_engine(name, package / "fp32.onnx", threads=1)
    engine.rest(scene(4, 4)[None])
    first = engine.run(scene(40, 24)[None], probabilities=True)
    engine.rest(scene(4, 4)[None])
    again = engine.run(scene(40, 24)[None], probabilities=True)
    np.testing.assert_array_equal(again.mask, first.mask)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)


@pytest.mark.parametrize("name", ENGINES)
def test_calls_at_once_and_fitting_change_nothing(package, scene, name):
    alone = open_engine(name, package / "int8.onnx", threads=1)
    batches = [scene(40, 24, seed=i)[None] for i in range(6)] + [scene(16, 8)[None]]
    want = [alone.run(batch, probabilities=True) for batch in batches]
    engine = open_engine(name, package / "int8.onnx", threads=2, streams=2)
    with ThreadPoolExecutor(2) as calls:
        for fitted in (None, False, True):
            if fitted is not None:
                engine.fit((1, 4, 40, 24), probabilities=fitted)
            for probabilities in (True, False):
                found = calls.map(partial(engine.run, probabilities=probabilities), batches)
                for one, other in zip(found, want, strict=True):
                    np.testing.assert_array_equal(one.mask, other.mask)
            engine.rest(scene(4, 4)[None])


@pytest.mark.skipif(not has_openvino(), reason="no openvino")
def test_a_shape_that_does_not_fit(package):
    engine = open_engine("openvino", package / "int8.onnx", threads=1)
    with pytest.raises(PackageError, match=r"cannot fit the graph to inputs of \(1, 3, 8, 8\)"):
        engine.fit((1, 3, 8, 8), probabilities=False)


@pytest.mark.parametrize(("threads", "streams"), [(0, 1), (1, 0), (999, 1), (1, 999)])
def test_counts_that_cannot_be(package, threads, streams):
    with pytest.raises(SettingsError, match="must be 1 to"):
        open_engine("onnx", package / "int8.onnx", threads=threads, streams=streams)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_not_a_graph_is_refused(tmp_path, name):
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    with pytest.raises(PackageError, match="cannot load"):
        open_engine(name, tmp_path / "graph.onnx")


@pytest.mark.parametrize("name", ENGINES)
def test_a_graph_with_other_names_is_refused(tmp_path, name):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [value("x", TensorProto.FLOAT, [1, 4])],
        [value("y", TensorProto.FLOAT, [1, 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "g.onnx")
    with pytest.raises(PackageError, match="not a flight graph"):
        open_engine(name, tmp_path / "g.onnx")


def test_an_engine_that_is_not_there(package, monkeypatch):
    monkeypatch.setattr("satsqueeze.flight.engines.openvino_engine.has_openvino", lambda: False)
    with pytest.raises(MissingDependencyError):
        open_engine("openvino", package / "fp32.onnx")
    with pytest.raises(SettingsError, match="unknown engine"):
        open_engine("tensorrt", package / "fp32.onnx")
