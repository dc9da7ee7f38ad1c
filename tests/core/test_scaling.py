from __future__ import annotations

import json

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.scaling import Scaling

SCALING = Scaling(bands=("red", "nir"), mean=(0.1, 0.3), std=(0.05, 0.2))


def test_apply_is_clip_then_standardise():
    image = np.float32([[[0.1, 5.0]], [[0.5, -3.0]]])
    expected = np.float32([[[0.0, (2.0 - 0.1) / 0.05]], [[1.0, (-0.2 - 0.3) / 0.2]]])
    np.testing.assert_allclose(SCALING.apply(image), expected, rtol=1e-5, atol=1e-6)
    assert SCALING.apply(image).dtype == np.float32


def test_apply_takes_batches():
    batch = np.random.default_rng(0).random((3, 2, 4, 5), dtype=np.float32)
    np.testing.assert_array_equal(SCALING.apply(batch)[1], SCALING.apply(batch[1]))


def test_standardised_data_has_mean_0_and_std_1():
    data = np.random.default_rng(1).normal((0.1, 0.3), (0.05, 0.2), (20_000, 2)).astype(np.float32)
    out = Scaling(bands=("red", "nir"), mean=(0.1, 0.3), std=(0.05, 0.2), low=-9, high=9).apply(data.T[:, :, None])
    np.testing.assert_allclose(out.mean(axis=(1, 2)), 0, atol=0.03)
    np.testing.assert_allclose(out.std(axis=(1, 2)), 1, atol=0.03)


def test_survives_json():
    assert Scaling.from_dict(json.loads(json.dumps(SCALING.to_dict()))) == SCALING


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4), (4, 4)])
def test_apply_refuses_another_channel_count(shape):
    with pytest.raises(BandError, match="red, nir"):
        SCALING.apply(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (0.1,)}, "one mean and one std per band"),
        ({"std": (0.05, 0.0)}, "std > 0"),
        ({"std": (0.05, float("nan"))}, "std > 0"),
        ({"mean": (0.1, float("inf"))}, "finite means"),
        ({"low": 2.0}, "low < high"),
        ({"bands": (), "mean": (), "std": ()}, "std > 0"),
    ],
)
def test_impossible_scalings_are_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        Scaling(**{"bands": ("red", "nir"), "mean": (0.1, 0.3), "std": (0.05, 0.2), **change})
