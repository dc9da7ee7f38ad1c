from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import DataError, GridError, SettingsError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.class_sampler import ClassSampler
from satsqueeze.data.sampling.dihedral import view_of


@pytest.fixture
def cache(tile_folder, tmp_path):
    return pack(open_dataset(tile_folder(tmp_path / "tiles", count=5)), tmp_path / "cache")


def test_every_image_once_per_deck_and_never_a_short_batch(cache):
    sampler = ClassSampler(cache, cache.ids, batch_size=4, seed=3)
    dealt = np.concatenate([sampler.batch(step).positions for step in range(15)])
    assert len(sampler) == 15
    decks = dealt.reshape(4, 15)
    for deck in decks:
        assert sorted(deck) == list(range(15))
    assert not np.array_equal(decks[0], decks[1])


def test_batches_larger_than_the_deck(cache):
    sampler = ClassSampler(cache, cache.ids[:3], batch_size=8, seed=0)
    counts = np.bincount(np.concatenate([sampler.dealt(step) for step in range(3)]))
    assert counts.tolist() == [8, 8, 8]


def test_a_batch_is_a_function_of_seed_and_step(cache):
    one, other = (ClassSampler(cache, cache.ids, batch_size=6, seed=1) for _ in range(2))
    one.batch(0)
    first, second = one.batch(5), other.batch(5)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.views, second.views)
    different = ClassSampler(cache, cache.ids, batch_size=6, seed=2).batch(5)
    assert not np.array_equal(first.positions, different.positions)


def test_images_are_the_caches_in_their_views(cache):
    seen = set()
    sampler = ClassSampler(cache, cache.ids, batch_size=16, seed=0)
    for step in range(4):
        batch = sampler.batch(step)
        assert batch.images.dtype == batch.targets.dtype == np.float32
        for image, target, position, view in zip(
            batch.images, batch.targets, batch.positions, batch.views, strict=True
        ):
            np.testing.assert_array_equal(image, view_of(cache.image(position), int(view)))
            assert tuple(np.flatnonzero(target)) == cache.entries[position].targets
            seen.add(int(view))
    assert seen == set(range(8))


def test_views_can_be_left_out(cache):
    assert not ClassSampler(cache, cache.ids, batch_size=16, seed=0, views=False).batch(0).views.any()


def test_answers_belong_to_image_and_view(cache):
    class Echo:
        def rows(self, positions, views):
            return np.stack([positions, views], axis=1)[:, None].astype(np.float32)

    batch = ClassSampler(cache, cache.ids, batch_size=4, seed=0, answers=Echo()).batch(2)
    np.testing.assert_array_equal(batch.answers[:, 0, 0], batch.positions)
    np.testing.assert_array_equal(batch.answers[:, 0, 1], batch.views)


def test_invalid_pixels_are_zero(tile_folder, write_tiff, tmp_path):
    root = tile_folder(tmp_path / "tiles", count=2)
    tile = np.full((3, 8, 8), 500.0, np.float32)
    tile[:, 2, 3] = np.nan
    write_tiff(root / "field" / "field_0.tif", tile)
    cache = pack(open_dataset(root), tmp_path / "cache")
    images = ClassSampler(cache, cache.ids[:1], batch_size=1, seed=0, views=False).batch(0).images
    assert (images[0, :, 2, 3] == 0).all()
    np.testing.assert_array_equal(images[0], cache.image(0))


def test_refusals(cache, tile_folder, write_tiff, tmp_path):
    for changes in ({"batch_size": 0}, {"seed": -1}):
        with pytest.raises(SettingsError, match="sampling needs images"):
            ClassSampler(cache, cache.ids, **{"batch_size": 4, "seed": 0} | changes)
    with pytest.raises(SettingsError, match="got 0,"):
        ClassSampler(cache, (), batch_size=4, seed=0)
    with pytest.raises(DataError, match="never packed"):
        ClassSampler(cache, ("tiles/x",), batch_size=4, seed=0)
    root = tile_folder(tmp_path / "mixed", count=2)
    write_tiff(root / "field" / "large.tif", np.ones((3, 9, 8), np.uint16))
    with pytest.raises(GridError, match=r"2 sizes \(8 x 8, 9 x 8 px"):
        ClassSampler(mixed := pack(open_dataset(root), tmp_path / "c"), mixed.ids, batch_size=4, seed=0)
