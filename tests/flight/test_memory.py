"""What a graph costs is measured on the engine that runs it, and given back."""

from __future__ import annotations

import sys

import pytest

from satsqueeze.flight.engine import open_engine
from satsqueeze.flight.memory import blank, forget_peak, measure, peak_bytes, resident_bytes, settle
from satsqueeze.flight.runtime import open_package

SIDE = 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux tells it")


@pytest.fixture
def model(package):
    return open_package(package, precision="int8", engine="onnx", threads=1)


def test_what_is_measured_on_a_small_input_holds_for_a_large_one(model):
    found = measure(model.engine, model.manifest, probabilities=False)
    assert found.measured
    batch = blank(len(model.bands), SIDE)
    before = resident_bytes()
    assert forget_peak()
    model.engine.run(batch, probabilities=False)
    taken = peak_bytes() - before
    assert taken <= found.bytes_per_pixel * SIDE**2
    assert taken >= 0.5 * found.bytes_per_pixel * SIDE**2


def test_an_engine_that_settles_gives_its_memory_back(package, model):
    settle(model.engine, model.manifest)
    before = resident_bytes()
    model.engine.run(blank(len(model.bands), SIDE), probabilities=False)
    kept = resident_bytes() - before
    settle(model.engine, model.manifest)
    assert resident_bytes() - before < 0.25 * kept
    fresh = open_engine("onnx", package / "int8.onnx", threads=1)
    assert measure(fresh, model.manifest, probabilities=False).base_bytes <= resident_bytes() + 2**22
