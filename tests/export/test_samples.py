"""Images by band name, windows by seed."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, ExportError
from satsqueeze.export.samples import Samples

BANDS = ("blue", "green", "red", "nir")


def test_bands_come_in_the_models_order(make_cache):
    cache = make_cache()
    sample = next(iter(Samples(cache, cache.ids[1:2], BANDS)))
    assert sample.id == "item1"
    np.testing.assert_array_equal(sample.image[0], cache.image(1)[cache.bands.index("blue")])
    np.testing.assert_array_equal(sample.image[3], cache.image(1)[cache.bands.index("nir")])
    assert sample.valid.shape == sample.label.shape == sample.image.shape[1:]


def test_windows_are_seeded_parts_of_the_images(make_cache):
    cache = make_cache(count=3, side=40)
    samples = Samples(cache, cache.ids, BANDS)
    found = samples.windows(count=5, side=15, multiple=8, seed=1)
    again = samples.windows(count=5, side=15, multiple=8, seed=1)
    assert [w.shape for w in found] == [(4, 16, 16)] * 5
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)
    whole = next(iter(samples)).image
    corners = np.lib.stride_tricks.sliding_window_view(whole[0], (16, 16))
    assert (corners == found[0][0]).all(axis=(2, 3)).any()


def test_small_images_are_reflected_to_the_multiple(make_cache):
    cache = make_cache(count=1, side=13)
    (window,) = Samples(cache, cache.ids, BANDS).windows(count=1, side=64, multiple=8, seed=0)
    whole = next(iter(Samples(cache, cache.ids, BANDS))).image
    np.testing.assert_array_equal(window, np.pad(whole, ((0, 0), (0, 3), (0, 3)), mode="reflect"))


def test_labels_are_noticed(make_cache):
    for labelled in (True, False):
        cache = make_cache(count=2, labelled=labelled)
        assert Samples(cache, cache.ids, BANDS).labelled == labelled


def test_no_images_and_absent_bands_are_refused(make_cache):
    cache = make_cache(count=1)
    with pytest.raises(ExportError, match="at least one image"):
        Samples(cache, (), BANDS)
    with pytest.raises(BandError, match="lwir11"):
        Samples(cache, cache.ids, ("lwir11",))
