"""Pictures: the right pixels in the right colours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from satsqueeze.core.errors import GridError
from satsqueeze.flight.palette import class_colours
from satsqueeze.flight.quicklook import GAP, LEGEND_HEIGHT, quicklook, true_colour

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as picture:
            assert picture.driver == "PNG"
            return picture.read().transpose(1, 2, 0)


def test_panels_overlay_and_shares(tmp_path, scene):
    image, mask = scene(40, 60), np.zeros((40, 60), np.uint8)
    mask[:20] = 3
    mask[30:, :] = 255
    quicklook(image, mask, tmp_path / "look.png", bands=BANDS, classes=CLASSES)
    picture = read(tmp_path / "look.png")
    assert picture.shape == (40 + GAP + LEGEND_HEIGHT, 60 + GAP + 60, 3)
    plain, laid = picture[:40, :60].astype(int), picture[:40, 60 + GAP :].astype(int)
    np.testing.assert_array_equal(laid[20:30], plain[20:30])
    want = plain[:20] * 0.45 + np.array(class_colours(CLASSES)[3]) * 0.55
    assert np.abs(laid[:20] - want).max() <= 1.5
    assert not laid[30:].any()
    bar = picture[-1]
    assert (bar == class_colours(CLASSES)[3]).all(axis=1).sum() == 64
    assert (bar == class_colours(CLASSES)[0]).all(axis=1).sum() == 32
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look.png"]


def test_large_images_are_thinned(tmp_path):
    image, mask = np.full((4, 100, 2500), 0.3, np.float32), np.zeros((100, 2500), np.uint8)
    quicklook(image, mask, tmp_path / "look.png", bands=BANDS, classes=CLASSES)
    assert read(tmp_path / "look.png").shape[1] == 2 * 834 + GAP


def test_true_colour_is_red_green_blue_by_name():
    image = np.zeros((4, 2, 2), np.float32)
    image[BANDS.index("red")] = 0.4
    image[BANDS.index("blue")] = 0.1
    picture = true_colour(image, BANDS)
    np.testing.assert_allclose(picture[0, 0], (255, 0, 127.5))
    assert true_colour(image[:1], ("nir",)).shape == (2, 2, 3)
    assert not true_colour(np.full((3, 2, 2), np.nan, np.float32), ("red", "green", "blue")).any()


def test_sizes_must_agree(tmp_path, scene):
    with pytest.raises(GridError, match="same size"):
        quicklook(scene(4, 4), np.zeros((4, 5), np.uint8), tmp_path / "l.png", bands=BANDS, classes=CLASSES)
