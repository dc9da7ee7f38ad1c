"""Series of dates out of a cache, and patches of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from satsqueeze.core.errors import DataError, GridError, LabelError, SettingsError
from satsqueeze.core.window import Window
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.series_sampler import SeriesSampler
from satsqueeze.data.series import require_lasting_labels, series_images, series_label, series_of
from satsqueeze.data.synth.landcover_writer import LandCoverSettings, write_land_cover

CARD = """
bands: [red, nir]
classes: [bare, crop, water]
foreground: []
scale: 0.0001
nodata: 0
series: '(p\\d)_'
date: '_(\\d{8})$'
"""
DATES = {"p1": ("20200110", "20200615", "20201231"), "p2": ("20200301", "20200901")}


def digital(place, number, side=16):
    """Numbers that tell place, date, row and column."""
    rows, cols = np.mgrid[:side, :side]
    base = 1000 * int(place[1]) + 2000 * number
    return np.stack([base + rows * 10, base + cols * 10]).astype(np.uint16)


def write_places(root, write_tiff, *, side=None):
    root.mkdir(parents=True)
    (root / "dataset.yaml").write_text(CARD)
    for place, dates in DATES.items():
        for number, date in enumerate(dates):
            own = (side or {}).get((place, number), 16)
            image = digital(place, number, own)
            label = np.tile(np.arange(own, dtype=np.uint8) % 3, (own, 1))
            if place == "p1" and number == 1:
                image[:, :4] = 0
                label[6:8] = 255
            if place == "p1" and number == 2:
                image[:, :2] = 0
                label[10] = 2 - label[10]
            write_tiff(root / "images" / f"{place}_{date}.tif", image)
            write_tiff(root / "labels" / f"{place}_{date}.tif", label)
    return root


@pytest.fixture
def cache(write_tiff, tmp_path) -> PackedCache:
    return pack(open_dataset(write_places(tmp_path / "data", write_tiff)), tmp_path / "cache")


def test_dates_of_a_place_are_one_series(cache):
    first, second = series_of(cache, cache.ids)
    assert (first.place, second.place) == ("folder/p1", "folder/p2")
    assert [cache.entries[position].id[-8:] for position in first.positions] == list(DATES["p1"])
    assert first.days == (10.0, 167.0, 366.0)
    assert (first.height, first.width, len(first), len(second)) == (16, 16, 3, 2)
    assert [len(one) for one in series_of(cache, cache.ids[1:])] == [2, 2]
    assert {entry.groups for entry in cache.entries} == {("folder/p1",), ("folder/p2",)}


def test_names_in_which_an_expression_finds_no_place_are_places_of_their_own(write_tiff, tmp_path):
    root = write_places(tmp_path / "data", write_tiff)
    (root / "dataset.yaml").write_text(CARD.replace("'(p\\d)_'", "'(p1)_|p2'"))
    items = open_dataset(root).items
    own = {f"folder/p2_{date}" for date in DATES["p2"]}
    assert {item.series for item in items} == {"folder/p1"} | own
    assert {item.groups[0] for item in items} == {"folder/p1"} | own


def test_images_of_a_series_are_those_of_its_items(cache):
    first = series_of(cache, cache.ids)[0]
    window = Window(row=2, col=5, height=7, width=4)
    whole, part = series_images(cache, first), series_images(cache, first, (2, 0), window)
    for date, position in enumerate(first.positions):
        np.testing.assert_array_equal(whole[date], cache.image(position))
    np.testing.assert_array_equal(part, whole[[2, 0]][..., 2:9, 5:9])


def test_the_label_of_a_series_is_what_dates_agree_on(cache):
    first = series_of(cache, cache.ids)[0]
    label = series_label(cache, first)
    want = np.tile(np.arange(16) % 3, (16, 1))
    want[10] = np.where(want[10] == 1, 1, 255)  # dates differ but where 2 - 1 = 1
    np.testing.assert_array_equal(label, want)
    window = Window(row=9, col=1, height=3, width=5)
    np.testing.assert_array_equal(series_label(cache, first, window), want[9:12, 1:6])
    backwards = replace(first, positions=first.positions[::-1], days=first.days[::-1])
    np.testing.assert_array_equal(series_label(cache, backwards), want)


def test_labels_that_change_are_refused(cache, write_tiff, tmp_path):
    require_lasting_labels(cache, series_of(cache, cache.ids))
    root = write_places(tmp_path / "clouds", write_tiff)
    for number, date in enumerate(DATES["p2"]):
        write_tiff(root / "labels" / f"p2_{date}.tif", np.full((16, 16), number, np.uint8))
    other = pack(open_dataset(root), tmp_path / "cache2")
    with pytest.raises(LabelError, match="the dates of 1 places differ in 256 of the 256 pixels"):
        require_lasting_labels(other, series_of(other, other.ids)[1:])


def test_what_makes_no_series_is_refused(cache, write_tiff, tmp_path, make_folder):
    with pytest.raises(DataError, match="no image to make series of"):
        series_of(cache, ())
    single = pack(open_dataset(make_folder(tmp_path / "single")), tmp_path / "cache3")
    with pytest.raises(DataError, match="folder/a is no date of a series; state 'series' and 'date'"):
        series_of(single, single.ids)
    root = write_places(tmp_path / "undated", write_tiff)
    (root / "dataset.yaml").write_text(CARD.replace("date: '_(\\d{8})$'", ""))
    undated = pack(open_dataset(root), tmp_path / "cache4")
    with pytest.raises(DataError, match="folder/p1_20200110 has no date"):
        series_of(undated, undated.ids)
    root = write_places(tmp_path / "sizes", write_tiff, side={("p2", 1): 18})
    sizes = pack(open_dataset(root), tmp_path / "cache5")
    with pytest.raises(GridError, match=r"the dates of folder/p2 have 2 sizes \(\(16, 16\), \(18, 18\)\)"):
        series_of(sizes, sizes.ids)


def test_a_cache_keeps_series_and_only_where_there_are_any(cache, make_folder, tmp_path):
    again = PackedCache(cache.folder)
    assert [(entry.series, entry.date) for entry in again.entries][:1] == [("folder/p1", "2020-01-10")]
    plain = pack(open_dataset(make_folder(tmp_path / "plain")), tmp_path / "plain-cache")
    assert {"series", "date"}.isdisjoint(plain.entries[0].to_dict())


def test_batches_hold_the_dates_of_one_place_at_one_window(cache):
    sampler = SeriesSampler(cache, cache.ids, patch_size=(8, 6), batch_size=16, dates=2, seed=3)
    batch = sampler.batch(5)
    assert batch.images.shape == (16, 2, 2, 8, 6)
    days = {one.place: dict(zip(one.days, range(3), strict=False)) for one in series_of(cache, cache.ids)}
    for slot, place in enumerate(batch.places):
        for date in range(2):
            number = days[place][float(batch.days[slot, date])]
            shown = (batch.images[slot, date] != 0).all(axis=0)
            found = np.rint(batch.images[slot, date] * 1e4) - 1000 * int(place[-1]) - 2000 * number
            rows, cols = found[0] / 10, found[1] / 10
            assert (np.diff(rows, axis=0)[shown[1:] & shown[:-1]] == 1).all()
            want = np.where(rows[shown] == 10, 255, cols[shown] % 3)
            label = batch.labels[slot][shown]
            assert ((label == want) | ((rows[shown] == 10) & (place == "folder/p2")) | (label == 1)).all()
    assert len({tuple(row) for row in batch.days.tolist()}) > 2, "not always the same dates"


def test_batches_depend_on_seed_and_step_alone(cache):
    arguments = {"patch_size": (8, 8), "batch_size": 4, "dates": 3}
    one, other = (SeriesSampler(cache, cache.ids, seed=1, **arguments) for _ in range(2))
    one.batch(0)
    for name in ("images", "days", "labels"):
        np.testing.assert_array_equal(getattr(one.batch(7), name), getattr(other.batch(7), name))
    assert not np.array_equal(one.batch(8).images, one.batch(7).images)


def test_absent_dates_are_empty_and_what_no_date_shows_does_not_count(cache):
    sampler = SeriesSampler(cache, cache.ids, patch_size=(20, 20), batch_size=12, dates=3, seed=0)
    batch = sampler.batch(0)
    assert batch.images.shape[1] == 3
    for slot, place in enumerate(batch.places):
        if place == "folder/p2":
            assert batch.days[slot, 2] == 0
            assert not batch.images[slot, 2].any()
    assert (batch.labels[:, 0] == 255).all(), "outside of the image"
    only = SeriesSampler(cache, cache.ids[1:3], patch_size=(16, 16), batch_size=1, dates=2, seed=0).batch(0)
    assert (only.labels[0, :2] == 255).all(), "nodata at both dates"
    assert (only.labels[0, 2:4] != 255).all(), "nodata at one of them"


def test_no_date_is_refused(cache):
    with pytest.raises(SettingsError, match="at least 1 date, got 0"):
        SeriesSampler(cache, cache.ids, patch_size=(8, 8), batch_size=1, dates=0, seed=0)


def test_a_generated_country_is_series_with_days(tmp_path):
    settings = LandCoverSettings(country="alba", places=(1, 1, 1), dates=4, size=16)
    write_land_cover(settings, tmp_path / "alba")
    cache = pack(open_dataset(tmp_path / "alba"), tmp_path / "cache")
    series = series_of(cache, cache.ids)
    assert [one.place for one in series] == ["alba/p0000", "alba/p0001", "alba/p0002"]
    for one in series:
        assert all(1 + number * 365 / 4 <= day < 1 + (number + 1) * 365 / 4 for number, day in enumerate(one.days))
    require_lasting_labels(cache, series)
