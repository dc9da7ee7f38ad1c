"""Pictures: the right pixels in the right colours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from satsqueeze.core.errors import GridError
from satsqueeze.flight.outputs.legend import LINE, Entry, legend
from satsqueeze.flight.outputs.palette import class_colours, overlay_colours
from satsqueeze.flight.outputs.quicklook import GAP, quicklook, true_colour

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as picture:
            assert picture.driver == "PNG"
            return picture.read().transpose(1, 2, 0)


def test_panels_and_overlay(tmp_path, scene):
    image, mask = scene(40, 400), np.zeros((40, 400), np.uint8)
    mask[:20] = 3
    mask[30:, :] = 255
    quicklook(image, mask, tmp_path / "look.png", bands=BANDS, classes=CLASSES)
    picture = read(tmp_path / "look.png")
    assert picture.shape == (40 + GAP + LINE, 400 + GAP + 400, 3)
    plain, laid = picture[:40, :400].astype(int), picture[:40, 400 + GAP :].astype(int)
    np.testing.assert_array_equal(laid[20:30], plain[20:30])
    want = plain[:20] * 0.45 + np.array(class_colours(CLASSES)[3]) * 0.55
    assert np.abs(laid[:20] - want).max() <= 1.5
    assert not laid[30:].any()
    # Two thirds of what has data are shadow, a quarter of all has no data.
    shares = zip(CLASSES, ((255, 255, 255), *overlay_colours(CLASSES)[1:]), (1 / 3, 0, 0, 2 / 3), strict=True)
    expected = legend([*(Entry(*share) for share in shares), Entry("no data", (0, 0, 0), 0.25)], width=808)
    np.testing.assert_array_equal(picture[40 + GAP :], expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look.png"]


def test_the_legend_says_what_is_kept_and_what_is_dropped(tmp_path, scene):
    image, mask = scene(40, 400), np.zeros((40, 400), np.uint8)
    mask[:10] = 1
    quicklook(image, mask, tmp_path / "look.png", bands=BANDS, classes=CLASSES, foreground=(1, 2))
    colours = ((255, 255, 255), *overlay_colours(CLASSES)[1:])
    told = zip(CLASSES, colours, (0.75, 0.25, 0, 0), ("keep", "drop", "drop", "keep"), strict=True)
    expected = legend([*(Entry(*one) for one in told), Entry("no data", (0, 0, 0), 0)], width=808)
    np.testing.assert_array_equal(read(tmp_path / "look.png")[40 + GAP :], expected)


def test_legend_wraps_and_is_never_narrower_than_an_entry():
    entries = [Entry(name, (10 * i, 200, 0), 0.125) for i, name in enumerate("abcdef")]
    assert entries[0].text == "a 12.5%"
    assert Entry("cloud", (0, 0, 0), 0.125, "drop").text == "cloud 12.5% drop"
    wide, narrow = legend(entries, width=1000), legend(entries, width=10)
    assert wide.shape == (LINE, 1000, 3)
    assert narrow.shape[0] == 6 * LINE
    assert 10 < narrow.shape[1] < 150
    for number, entry in enumerate(entries):
        line = narrow[number * LINE : (number + 1) * LINE]
        assert (line == entry.colour).all(axis=2).sum() == 11 * 11
        assert (line < 100).all(axis=2).sum() > 48  # the swatch's outline and the text


def test_a_tiny_image_is_padded_to_its_legend(tmp_path, scene):
    quicklook(scene(4, 4), np.zeros((4, 4), np.uint8), tmp_path / "l.png", bands=BANDS, classes=CLASSES)
    picture = read(tmp_path / "l.png")
    assert picture.shape[0] == 4 + GAP + 5 * LINE
    assert (picture[:4, 8 + GAP :] == 255).all()


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
