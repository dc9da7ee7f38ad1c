from __future__ import annotations

import json

import numpy as np
import pytest

from satsqueeze.core.errors import DataError
from satsqueeze.data.cache.fingerprint import Fingerprint, fingerprint
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset

FOUR = ("blue", "green", "red", "nir")


@pytest.fixture
def cache(write_tiff, tmp_path):
    generator = np.random.default_rng(0)
    for name, (height, width) in (("a", (30, 40)), ("b", (10, 20)), ("c", (50, 60))):
        image = generator.gamma(2.0, 0.1, (4, height, width)).astype(np.float32) - np.float32(0.05)
        image[:, :2] = np.nan
        label = generator.choice([0, 1, 2, 255], (height, width)).astype(np.uint8)
        write_tiff(tmp_path / "set" / "images" / f"{name}.tif", image, names=FOUR, crs="EPSG:32631", gsd=30)
        write_tiff(tmp_path / "set" / "labels" / f"{name}.tif", label)
    return pack(open_dataset(tmp_path / "set"), tmp_path / "cache")


def test_against_numpy(cache):
    found = fingerprint(cache)
    valid = [cache.valid(position) for position in range(3)]
    for band, name in enumerate(FOUR):
        values = np.concatenate([cache.image(p)[band][valid[p]] for p in range(3)]).astype(np.float64)
        row = found.statistics[name]
        assert row.mean == pytest.approx(values.mean(), abs=1e-7)
        assert row.std == pytest.approx(values.std(), rel=1e-5)
        for percent, value in ((0.5, row.p005), (50, row.p50), (99.5, row.p995)):
            assert value == pytest.approx(np.percentile(values, percent, method="inverted_cdf"), abs=1e-6)
    labels = np.concatenate([cache.label(p).ravel() for p in range(3)])
    counts = np.array([(labels == value).sum() for value in range(4)])
    assert found.class_share == pytest.approx(tuple(counts / counts.sum()))
    assert found.valid_share == pytest.approx(np.concatenate([mask.ravel() for mask in valid]).mean())
    assert (found.cases, found.median_shape, found.spacing, found.channels) == (3, (30, 40), (30.0, 30.0), 4)
    assert (found.groups, found.sources, found.labelled) == (3, {"folder": 3}, 3)


def test_only_the_items_asked_for(cache):
    assert fingerprint(cache, ["folder/b"]).median_shape == (10, 20)
    with pytest.raises(DataError, match="at least one item, got none"):
        fingerprint(cache, [])
    with pytest.raises(DataError, match="folder/z is not in the cache"):
        fingerprint(cache, ["folder/z"])


def test_the_median_of_an_even_number_of_sizes_may_be_a_half(write_tiff, tmp_path):
    for name, side in (("a", 96), ("b", 97)):
        write_tiff(tmp_path / "set" / "images" / f"{name}.tif", np.full((4, side, 96), 0.1, np.float32), names=FOUR)
        write_tiff(tmp_path / "set" / "labels" / f"{name}.tif", np.ones((side, 96), np.uint8))
    found = fingerprint(pack(open_dataset(tmp_path / "set"), tmp_path / "cache"))
    assert json.dumps(found.to_dict()["median_shape"]) == "[96.5, 96]"


def test_round_trip(cache):
    found = fingerprint(cache)
    assert Fingerprint.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_scaling_standardises_the_data(cache):
    found = fingerprint(cache)
    values = np.concatenate([found.scaling().apply(cache.image(p))[:, cache.valid(p)] for p in range(3)], axis=1)
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=1), 1, atol=1e-3)


def test_constant_bands_still_scale(write_tiff, tmp_path):
    write_tiff(tmp_path / "images" / "a.tif", np.full((1, 4, 4), 0.3, np.float32), names=("red",))
    found = fingerprint(pack(open_dataset(tmp_path), tmp_path / "cache"))
    assert found.scaling().std == (1e-3,)
    assert found.class_share == (0, 0, 0, 0)
