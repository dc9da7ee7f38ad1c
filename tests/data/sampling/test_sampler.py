from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import DataError, SettingsError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.sampler import PatchSampler

FOUR = ("blue", "green", "red", "nir")


@pytest.fixture
def cache(write_tiff, reflectance, tmp_path):
    """Two sources: 'few' with one case, 'many' with three; one clear case, one smaller than the patches."""
    generator = np.random.default_rng(0)
    for name, source, (height, width) in (
        ("a", "few", (40, 50)),
        ("b", "many", (40, 50)),
        ("c", "many", (7, 9)),
        ("clear", "many", (40, 50)),
    ):
        image = reflectance(len(name), 4, height, width)
        image[:, 0, 0] = np.nan
        label = np.zeros((height, width), np.uint8)
        if name != "clear":
            spots = generator.integers(0, [height, width], (6, 2))
            label[spots[:3, 0], spots[:3, 1]] = 1
            label[spots[3:, 0], spots[3:, 1]] = 3
        write_tiff(tmp_path / source / "images" / f"{name}.tif", image, names=FOUR)
        write_tiff(tmp_path / source / "labels" / f"{name}.tif", label)
    (tmp_path / "mix.yaml").write_text("sources: [{path: few, name: few}, {path: many, name: many}]\n")
    return pack(open_dataset(tmp_path / "mix.yaml"), tmp_path / "cache")


def sampler(cache, **more):
    more = {"patch_size": (16, 12), "batch_size": 9, "seed": 3} | more
    return PatchSampler(cache, more.pop("ids", cache.ids), **more)


def same(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (one.ids, one.windows) == (other.ids, other.windows)


def test_a_batch_depends_on_seed_and_step_only(cache):
    drawn = sampler(cache)
    batches = [drawn.batch(step) for step in range(4)]
    same(drawn.batch(2), batches[2])
    same(sampler(cache).batch(3), batches[3])
    assert batches[0].windows != batches[1].windows
    assert sampler(cache, seed=4).batch(0).windows != batches[0].windows


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 60), width=st.integers(1, 60), step=st.integers(0, 1000))
def test_a_patch_is_what_lies_under_its_window(cache, height, width, step):
    batch = sampler(cache, patch_size=(height, width), batch_size=3).batch(step)
    for image, label, item_id, window in zip(batch.images, batch.labels, batch.ids, batch.windows, strict=True):
        position = cache.position(item_id)
        entry = cache.entries[position]
        rows, cols = np.arange(window.row, window.stop_row), np.arange(window.col, window.stop_col)
        inside = np.ix_((rows >= 0) & (rows < entry.height), (cols >= 0) & (cols < entry.width))
        here = np.ix_(rows[(rows >= 0) & (rows < entry.height)], cols[(cols >= 0) & (cols < entry.width)])
        padded = np.full((height, width), 255, np.uint8)
        padded[inside] = cache.label(position)[here]
        np.testing.assert_array_equal(label, padded)
        expected = np.zeros((4, height, width), np.float32)
        for band in range(4):
            expected[band][inside] = cache.image(position)[band][here]
        np.testing.assert_array_equal(image, expected)
        assert window.height <= entry.height or len(here[0]) == entry.height
        assert window.width <= entry.width or here[1].size == entry.width


def test_the_last_third_holds_foreground(cache):
    drawn = sampler(cache, ids=("few/a", "many/b"), patch_size=(5, 5))
    for step in range(40):
        labels = drawn.batch(step).labels
        assert all(np.isin(label, (1, 3)).any() for label in labels[6:])
    share = np.mean([np.isin(drawn.batch(step).labels[:6], (1, 3)).any(axis=(1, 2)).mean() for step in range(40)])
    assert share < 0.3


@pytest.mark.parametrize(
    ("batch_size", "share", "forced"), [(2, 1 / 3, 1), (9, 1 / 3, 3), (12, 1 / 3, 4), (4, 0.0, 0), (4, 1, 4)]
)
def test_number_of_forced_patches_is_that_of_nnunet(cache, batch_size, share, forced):
    drawn = sampler(cache, batch_size=batch_size, foreground_share=share)
    assert batch_size - drawn._first_forced == forced
    assert forced == sum(not i < round(batch_size * (1 - share)) for i in range(batch_size))


def test_classes_of_a_case_are_drawn_evenly(cache):
    drawn = sampler(cache, ids=("few/a",), patch_size=(1, 1), foreground_share=1.0, batch_size=200)
    counts = Counter(drawn.batch(0).labels.ravel().tolist())
    assert set(counts) == {1, 3}
    assert 70 < counts[1] < 130


def test_sources_are_drawn_by_weight(cache):
    def share(**more):
        ids = sampler(cache, batch_size=600, patch_size=(1, 1), **more).batch(0).ids
        return sum(item_id.startswith("few/") for item_id in ids) / len(ids)

    assert share() == pytest.approx(0.25, abs=0.06)
    assert share(source_weights={"few": 1, "many": 1}) == pytest.approx(0.5, abs=0.06)
    assert share(source_weights={"few": 0, "many": 1}) == 0


def test_soft_targets_are_cut_alongside(cache):
    def window(id, window):  # noqa: A002 - as SoftTargets names it
        position = cache.position(id)
        label = cache.label(position, window)
        return np.stack([label, label + 1, label + 2]).astype(np.uint8)

    batch = sampler(cache, patch_size=(16, 16), soft=SimpleNamespace(window=window)).batch(0)
    assert batch.soft.shape == (9, 3, 16, 16)
    inside = batch.soft.any(axis=1)
    np.testing.assert_array_equal(batch.soft[:, 0][inside], batch.labels[inside])
    assert not inside[[item_id == "many/c" for item_id in batch.ids]].all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch_size": (0, 4)},
        {"batch_size": 0},
        {"foreground_share": 1.5},
        {"seed": -1},
        {"ids": ()},
        {"source_weights": {"few": 1}},
        {"source_weights": {"few": -1, "many": 1}},
        {"source_weights": {"few": 0, "many": 0}},
    ],
)
def test_wrong_settings(cache, wrong):
    with pytest.raises(SettingsError, match=r"needs items, a patch size|must name every source \(few, many\)"):
        sampler(cache, **wrong)


def test_unknown_item(cache):
    with pytest.raises(DataError, match="few/z is not in the cache"):
        sampler(cache, ids=("few/z",))
