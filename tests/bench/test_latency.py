from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest

from satsqueeze.bench.latency import LatencySettings, measure_latency, measure_package
from satsqueeze.core.errors import GridError, SettingsError


class Clock:
    """Jumps by the given durations: two readings for each timed call."""

    def __init__(self, durations):
        self._readings = iter(chain.from_iterable((0.0, duration) for duration in durations))

    def __call__(self):
        return next(self._readings)


def test_percentiles_are_per_million_pixels_and_the_warm_up_does_not_count():
    calls = []
    found = measure_latency(
        lambda image: calls.append(image.shape),
        LatencySettings(height=100, width=200, threads=2, repeats=4, warmup=2),
        channels=3,
        clock=Clock([0.01, 0.02, 0.03, 0.08]),
    )
    assert calls == [(3, 100, 200)] * 6
    assert found.p50_s_per_mpixel == pytest.approx(0.025 / 0.02)
    assert found.p95_s_per_mpixel == pytest.approx(np.percentile([0.01, 0.02, 0.03, 0.08], 95) / 0.02)
    assert found.mpixels_per_second == pytest.approx(0.02 / 0.025)
    assert (found.threads, found.repeats, found.engine, found.scope) == (2, 4, "python", "predict")
    json.dumps(found.to_dict(), allow_nan=False)


def test_every_call_gets_the_same_reflectance():
    images = []
    measure_latency(images.append, LatencySettings(height=8, width=9, repeats=2, warmup=1), channels=2)
    assert images[0].dtype == np.float32
    assert 0 <= images[0].min() < images[0].max() <= 0.6
    assert all((image == images[0]).all() for image in images)


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"width": -1}, {"channels": None}, {"channels": 0}, {"repeats": 0}, {"warmup": -1}]
)
def test_impossible_measurements_are_refused(change):
    sizes = {"height": 8, "width": 8, "channels": 1, **change}
    channels = sizes.pop("channels")
    with pytest.raises(SettingsError, match="at least 1"):
        measure_latency(lambda image: image, LatencySettings(**sizes), channels=channels)


def test_a_package_is_timed_bare_and_whole(tiny_package):
    network, predict = measure_package(
        tiny_package, LatencySettings(height=32, width=48, threads=1, repeats=3, warmup=1), precision="fp32"
    )
    assert (network.scope, predict.scope) == ("network", "predict")
    for found in (network, predict):
        assert (found.engine, found.threads, found.channels) == ("onnx", 1, 2)
        assert 0 < found.p50_s_per_mpixel <= found.p95_s_per_mpixel


def test_the_bare_network_takes_its_own_sizes_only(tiny_package):
    with pytest.raises(GridError, match="multiples of 8"):
        measure_package(tiny_package, LatencySettings(height=33, width=48, repeats=1, warmup=0))
