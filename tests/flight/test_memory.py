"""What a graph costs is measured on the engine that runs it, and given back."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from satsqueeze.flight.engine import has_openvino
from satsqueeze.flight.engines import open_engine
from satsqueeze.flight.memory import blank, forget_peak, measure, peak_bytes, resident_bytes, settle
from satsqueeze.flight.runtime import open_package

SIDE = 1024
COMPILED = 2**24
"""What an engine takes to compile a graph may be there already or not: plans leave room for it."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")


ENGINES = ["onnx", pytest.param("openvino", marks=pytest.mark.skipif(not has_openvino(), reason="not installed"))]


@pytest.fixture
def model(package):
    return open_package(package, precision="int8", engine="onnx", threads=1)


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_measured_on_small_inputs_holds_for_large_ones(package, engine, streams):
    model = open_package(package, precision="int8", engine=engine, threads=2, streams=streams)
    found = measure(model.engine, model.manifest, probabilities=False)
    assert (found.measured, found.streams) == (True, streams)
    batch = blank(len(model.bands), SIDE)
    before = resident_bytes()
    assert forget_peak()
    model.engine.fit(batch.shape, probabilities=False)
    with ThreadPoolExecutor(streams) as calls:
        list(calls.map(partial(model.engine.run, probabilities=False), [batch] * streams))
    taken = peak_bytes() - before
    allowed = streams * found.bytes_per_pixel * SIDE**2
    assert taken <= allowed + COMPILED
    assert taken >= 0.4 * allowed


def test_an_engine_that_settles_gives_its_memory_back(package, model):
    settle(model.engine, model.manifest)
    before = resident_bytes()
    model.engine.run(blank(len(model.bands), SIDE), probabilities=False)
    kept = resident_bytes() - before
    settle(model.engine, model.manifest)
    assert resident_bytes() - before < 0.25 * kept
    fresh = open_engine("onnx", package / "int8.onnx", threads=1)
    assert measure(fresh, model.manifest, probabilities=False).base_bytes <= resident_bytes() + COMPILED
