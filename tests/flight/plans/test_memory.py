"""What a graph costs is measured on the engine that runs it, and given back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import has_openvino
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.plans.memory import blank, measure, resident_bytes, settle

SCRIPT = Path(__file__).parent / "taken_memory.py"
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
    words = [sys.executable, SCRIPT, package, engine, streams, SIDE]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["measured"], found["streams"], found["forgotten"]) == (True, streams, True)
    allowed = streams * found["bytes_per_pixel"] * SIDE**2
    assert found["taken"] <= allowed + COMPILED
    assert found["taken"] >= 0.4 * allowed


def test_an_engine_that_settles_gives_its_memory_back(package, model):
    settle(model.engine, model.manifest)
    before = resident_bytes()
    model.engine.run(blank(len(model.bands), SIDE), probabilities=False)
    kept = resident_bytes() - before
    settle(model.engine, model.manifest)
    assert resident_bytes() - before < 0.25 * kept
    fresh = open_engine("onnx", package / "int8.onnx", threads=1)
    assert measure(fresh, model.manifest, probabilities=False).base_bytes <= resident_bytes() + COMPILED


def test_what_a_graph_costs_is_assumed_where_memory_is_too_little_to_measure_it(package, model, monkeypatch):
    engine, run = open_engine("onnx", package / "int8.onnx", threads=1), model.engine.run

    def small_only(batch, *, probabilities):
        if batch.shape[-1] > 64:
            raise MemoryError
        return run(batch, probabilities=probabilities)

    monkeypatch.setattr(engine, "run", small_only)
    found = measure(engine, model.manifest, probabilities=False)
    assert not found.measured
    assert found.bytes_per_pixel >= 400
