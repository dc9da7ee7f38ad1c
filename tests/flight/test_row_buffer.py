"""Rows in memory are those of the image, continued by reflection."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import GridError
from satsqueeze.core.window import Window
from satsqueeze.flight.passages.row_buffer import RowBuffer

HEIGHT, WIDTH = 11, 7


class Halved:
    """A reader as far as a buffer is concerned: numbers are half of what they say, 0 is missing."""

    def reflectance(self, digital, whole, out):
        valid = whole & (digital != 0).all(axis=0)
        np.multiply(digital, np.float32(0.5) * valid, out=out, casting="unsafe")
        return out, valid


@pytest.fixture
def image():
    values = np.random.default_rng(0).integers(1, 99, (2, HEIGHT, WIDTH)).astype(np.uint8)
    values[:, 4, 3] = 0
    return values


def take(rows, image, row, stop, *, keep_from, col=0, width=WIDTH):
    window = Window(row=row, col=col, height=stop - row, width=width)
    rows.room(window, keep_from=keep_from)[:] = image[:, *window.slices]
    rows.extend(window, np.ones((window.height, window.width), bool), keep_from=keep_from)


def seen(rows, window):
    out = np.full((2, window.height, window.width), 9, np.float32)
    return out, rows.reflectance(window, Halved(), out=out)


def test_windows_of_the_rows_that_are_held(image):
    rows = RowBuffer(channels=2, height=HEIGHT, width=WIDTH, dtype="uint8", rows=8, cols=WIDTH)
    continued = np.pad(image, ((0, 0), (0, 5), (0, 5)), mode="reflect")
    take(rows, image, 0, 6, keep_from=0)
    for window in (Window(row=0, col=0, height=6, width=7), Window(row=2, col=1, height=3, width=11)):
        values, missing = seen(rows, window)
        np.testing.assert_array_equal(values, continued[:, *window.slices] / 2)
        np.testing.assert_array_equal(missing, (continued == 0).all(axis=0)[window.slices])
    take(rows, image, 6, 11, keep_from=3)
    assert rows.first == 3
    window = Window(row=3, col=2, height=12, width=9)
    values, missing = seen(rows, window)
    np.testing.assert_array_equal(values, continued[:, *window.slices][:, :12] / 2)
    assert missing.sum() == (continued == 0).all(axis=0)[window.slices].sum() > 0


def test_a_panel_begins_anew(image):
    rows = RowBuffer(channels=2, height=HEIGHT, width=WIDTH, dtype="uint8", rows=8, cols=4)
    take(rows, image, 0, 8, keep_from=0, width=4)
    take(rows, image, 0, 5, keep_from=0, col=3, width=4)
    values, _ = seen(rows, Window(row=1, col=4, height=3, width=3))
    np.testing.assert_array_equal(values, image[:, 1:4, 4:] / 2)


def test_an_image_of_one_pixel_is_repeated():
    rows = RowBuffer(channels=2, height=1, width=1, dtype="uint8", rows=1, cols=1)
    take(rows, np.full((2, 1, 1), 6, np.uint8), 0, 1, keep_from=0, width=1)
    values, missing = seen(rows, Window(row=0, col=0, height=4, width=3))
    assert (values == 3).all()
    assert not missing.any()


def test_more_than_it_holds_is_refused(image):
    rows = RowBuffer(channels=2, height=HEIGHT, width=WIDTH, dtype="uint8", rows=4, cols=3)
    take(rows, image, 0, 3, keep_from=0, width=3)
    with pytest.raises(GridError, match=r"4 x 3 px has no room for 3 \+ 2 rows of 3"):
        take(rows, image, 3, 5, keep_from=0, width=3)
    take(rows, image, 3, 5, keep_from=1, width=3)
    with pytest.raises(GridError, match="rows of 5"):
        take(rows, image, 0, 1, keep_from=0, width=5)


def test_a_window_that_does_not_hold_what_it_continues_is_refused(image):
    rows = RowBuffer(channels=2, height=HEIGHT, width=WIDTH, dtype="uint8", rows=11, cols=WIDTH)
    take(rows, image, 0, 11, keep_from=0)
    with pytest.raises(GridError, match="does not hold the pixels that continue it"):
        seen(rows, Window(row=0, col=6, height=4, width=4))
