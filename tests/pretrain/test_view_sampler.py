"""Pairs of views: exact matches, and none where nothing is to be seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from satsqueeze.core.errors import DataError, GridError, SettingsError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.pretrain.places import places_of
from satsqueeze.pretrain.view_sampler import ViewSampler
from satsqueeze.pretrain.view_settings import ViewSettings

from .conftest import SIDE, fields, write_places, write_tif

SETTINGS = ViewSettings(size=24, positions=40, place=r"(p\d+)_d")


@pytest.fixture(scope="module")
def coordinates(tmp_path_factory):
    """Two dates of two places whose bands hold the row and the column, in 1e-3 of reflectance."""
    folder = tmp_path_factory.mktemp("coordinates")
    card = "name: c\nbands: [blue, green]\nscale: 0.0001\nnodata: 0\nclasses: [a, b]\nforeground: []\n"
    (folder / "dataset.yaml").write_text(card)
    rows, cols = np.mgrid[:60, :50]
    for place in range(2):
        for date in range(2):
            values = np.stack([rows, cols]) * 10 + 10
            write_tif(folder / f"images/p{place}_d{date}.tif", values.astype(np.uint16))
    return pack(open_dataset(folder), folder / "cache")


def sampled(batch, values):
    """Bilinear values (2 N, P, C) of maps at the points of a batch."""
    size = values.shape[-1]
    grid = (2 * batch.points.flip(-1) + 1) / size - 1
    found = functional.grid_sample(values, grid[:, :, None], mode="bilinear", align_corners=False)
    return found[..., 0].transpose(1, 2)


def test_matched_pixels_show_the_same_coordinates(coordinates):
    sampler = ViewSampler(coordinates, coordinates.ids, SETTINGS, batch_size=6, seed=0)
    seen = 0
    for step in range(3):
        batch = sampler.batch(step)
        shown = (sampled(batch, batch.images) * 1000 - 1).reshape(2, 6, 40, 2)
        # Beyond the outermost centres of a resampled view its borders are extended.
        inner = ((batch.points > 1.5) & (batch.points < 24 - 2.5)).all(-1).reshape(2, 6, 40).all(0) & batch.counts
        seen += int(inner.sum())
        for side in range(2):
            assert torch.allclose(shown[side][inner], batch.ground[inner], atol=0.02)
    assert seen > 200


def test_pixels_of_a_pair_may_lie_apart(coordinates):
    apart = replace(SETTINGS, apart=3)
    batch = ViewSampler(coordinates, coordinates.ids, apart, batch_size=6, seed=0).batch(0)
    shown = (sampled(batch, batch.images) * 1000 - 1).reshape(2, 6, 40, 2)
    inner = ((batch.points > 1.5) & (batch.points < 24 - 2.5)).all(-1).reshape(2, 6, 40).all(0) & batch.counts
    assert torch.allclose(shown[0][inner], batch.ground[inner], atol=0.02)
    offsets = (shown[1] - batch.ground)[inner]
    assert torch.allclose(offsets, offsets.round(), atol=0.02)
    # Every offset from -3 to 3 is drawn, along rows and columns apart, and no other.
    for axis in range(2):
        assert sorted(set(offsets[:, axis].round().int().tolist())) == list(range(-3, 4))
    assert (batch.points >= -0.5).all()
    assert (batch.points <= 24 - 0.5).all()


def test_pairs_are_on_valid_cloudless_ground(cache):
    sampler = ViewSampler(cache, cache.ids, replace(SETTINGS, dates="pairs", positions=400), batch_size=8, seed=1)
    batch = sampler.batch(0)
    rows, cols = batch.ground[batch.counts].T
    assert int(rows.min()) >= 4  # nodata above
    assert not ((rows >= 30) & (rows < 36) & (cols >= 30) & (cols < 36)).any()
    assert batch.counts.any(dim=1).all()


def test_no_pair_is_where_a_view_lost_a_valid_pixel_among_invalid_ones(tmp_path):
    image, label = fields(0, 0)
    image[:, np.random.default_rng(0).random((SIDE, SIDE)) < 0.4] = 0
    write_places(tmp_path / "d", places=0)
    write_tif(tmp_path / "d/images/p0_d0.tif", image)
    write_tif(tmp_path / "d/labels/p0_d0.tif", label[None])
    packed = pack(open_dataset(tmp_path / "d"), tmp_path / "cache")
    batch = ViewSampler(packed, packed.ids, SETTINGS, batch_size=8, seed=0).batch(0)
    nearest = batch.points.round().long().clamp(0, SETTINGS.size - 1)
    views = zip(batch.images, nearest.mT, strict=True)
    seen = torch.stack([view[:, rows, cols].any(dim=0) for view, (rows, cols) in views])
    for side in seen.chunk(2):
        assert side[batch.counts].all()
    assert batch.counts.any(dim=1).all()


def test_one_date_does_not_mind_the_cloud_of_the_other(cache):
    first = [name for name in cache.ids if name.endswith("d0")]
    settings = replace(SETTINGS, dates="one", positions=400, scale_range=(0.6, 0.6))
    batch = ViewSampler(cache, first, settings, batch_size=8, seed=1).batch(0)
    rows, cols = batch.ground[batch.counts].T
    assert ((rows >= 30) & (rows < 36) & (cols >= 30) & (cols < 36)).any()


def test_unlabelled_pixels_are_avoided_where_asked(tmp_path):
    image, label = fields(0, 0)
    label[:, :30] = 255
    write_places(tmp_path / "d", places=0)
    write_tif(tmp_path / "d/images/p0_d0.tif", image)
    write_tif(tmp_path / "d/labels/p0_d0.tif", label[None])
    packed = pack(open_dataset(tmp_path / "d"), tmp_path / "cache")
    for avoid, lowest in ((True, 30), (False, 0)):
        settings = replace(SETTINGS, avoid_unlabelled=avoid, positions=1000, scale_range=(0.6, 0.6))
        batch = ViewSampler(packed, packed.ids, settings, batch_size=2, seed=0).batch(0)
        assert int(batch.ground[batch.counts][:, 1].min()) == lowest


def test_two_dates_are_two_dates_and_one_is_one(cache):
    for dates, differ in (("pairs", True), ("auto", True), ("one", False)):
        still = replace(SETTINGS, dates=dates, mirror=False, scale_range=(0.6, 0.6), smallest_overlap=1.0)
        batch = ViewSampler(cache, cache.ids, still, batch_size=4, seed=0).batch(0)
        first, second = batch.images.chunk(2)
        assert bool((first != second).any()) is differ


def test_a_batch_depends_on_seed_and_step_alone(cache):
    one, two = (ViewSampler(cache, cache.ids, SETTINGS, batch_size=3, seed=5) for _ in range(2))
    one.batch(0)
    for first, second in zip(one.batch(4), two.batch(4), strict=True):
        assert first is second is None or torch.equal(torch.as_tensor(first), torch.as_tensor(second))
    assert not torch.equal(one.batch(4).images, two.batch(5).images)


def test_bands_are_handed_over_in_the_order_asked_for(cache):
    plain = ViewSampler(cache, cache.ids, SETTINGS, batch_size=2, seed=0).batch(0)
    turned = ViewSampler(cache, cache.ids, SETTINGS, batch_size=2, seed=0, channels=[3, 0]).batch(0)
    assert torch.equal(plain.images[:, [3, 0]], turned.images)


def test_overlap_is_at_least_what_is_asked_for(cache):
    settings = replace(SETTINGS, size=16, smallest_overlap=0.5)
    sampler = ViewSampler(cache, cache.ids, settings, batch_size=1, seed=0)
    generator = np.random.default_rng(0)
    for _ in range(200):
        first, second = sampler._views(generator, SIDE, SIDE)
        assert len(first.shared(second)) >= 0.5 * min(first.side, second.side) ** 2


def test_no_overlapping_valid_pixels(tmp_path):
    write_places(tmp_path / "d", places=0)
    image, _ = fields(0, 0)
    for date, part in enumerate((slice(0, 20), slice(20, 40))):
        half = image.copy()
        half[:, part] = 0
        write_tif(tmp_path / f"d/images/p0_d{date}.tif", half)
    packed = pack(open_dataset(tmp_path / "d"), tmp_path / "cache")
    with pytest.raises(DataError, match=r"no two views shared a pixel.*set dates to one"):
        ViewSampler(packed, packed.ids, replace(SETTINGS, dates="pairs"), batch_size=2, seed=0).batch(0)


def test_places_and_what_is_wrong_with_them(cache, tmp_path):
    assert [len(dates) for dates in places_of(cache, cache.ids, SETTINGS)] == [2] * 6
    assert len(places_of(cache, cache.ids, replace(SETTINGS, place=""))) == 12
    with pytest.raises(DataError, match="no image to learn from"):
        places_of(cache, (), SETTINGS)
    first = [name for name in cache.ids if name.endswith("d0")]
    with pytest.raises(SettingsError, match="only date of its place; set dates to one"):
        places_of(cache, first, replace(SETTINGS, dates="pairs"))
    for expression in ("(x+)", "(x)|p"):
        with pytest.raises(SettingsError, match="finds no place in the name"):
            places_of(cache, cache.ids, replace(SETTINGS, place=expression))
    write_places(tmp_path / "d", places=1)
    write_tif(tmp_path / "d/images/p0_d2.tif", fields(0, 0)[0][:, :30])
    write_tif(tmp_path / "d/labels/p0_d2.tif", fields(0, 0)[1][None, :30])
    packed = pack(open_dataset(tmp_path / "d"), tmp_path / "cache")
    with pytest.raises(GridError, match="have 2 sizes"):
        places_of(packed, packed.ids, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 4}, "at least 8 px"),
        ({"dates": "two"}, "auto, pairs or one"),
        ({"haze": 1.5}, r"'haze' must lie in \[0, 1\]"),
        ({"noise_range": (0.2, 0.1)}, "'noise_range' needs 0 <= low <= high"),
        ({"scale_range": (0.0, 1.0)}, "must be positive"),
        ({"haze_range": (0.0, 1.5)}, "cannot pass 1"),
        ({"place": "p("}, "no regular expression"),
        ({"place": "p"}, "needs a part in parentheses"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(SETTINGS, **changes)


def test_classes_to_avoid_are_known(coordinates):
    settings = replace(SETTINGS, avoid=("clouds",))
    with pytest.raises(SettingsError, match=r"'avoid' names clouds; .*the labels have"):
        ViewSampler(coordinates, coordinates.ids, settings, batch_size=2, seed=0)
