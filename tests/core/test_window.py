from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import GridError
from satsqueeze.core.window import Window, cover


def test_slices_select_the_rectangle():
    image = np.arange(30).reshape(5, 6)
    window = Window(row=1, col=2, height=3, width=4)
    assert (window.stop_row, window.stop_col) == (4, 6)
    np.testing.assert_array_equal(image[window.slices], image[1:4, 2:6])


@pytest.mark.parametrize("size", [{"height": 0, "width": 4}, {"height": 4, "width": -1}])
def test_a_window_has_a_size(size):
    with pytest.raises(GridError, match="positive size, got"):
        Window(row=0, col=0, **size)


@pytest.mark.parametrize("corner", [(-1, 0), (0, -3)])
def test_slices_refuse_to_wrap_around(corner):
    window = Window(row=corner[0], col=corner[1], height=2, width=2)
    with pytest.raises(GridError, match="pad or clip first"):
        _ = window.slices


@pytest.mark.parametrize(
    "bad",
    [
        {"height": 0, "width": 8, "window": 4},
        {"height": 8, "width": 8, "window": 0},
        {"height": 8, "width": 8, "window": 4, "overlap": 1.0},
        {"height": 8, "width": 8, "window": 4, "overlap": -0.1},
        {"height": 8, "width": 8, "window": 4, "overlap": float("nan")},
    ],
)
def test_cover_refuses_what_cannot_be(bad):
    with pytest.raises(GridError, match="cannot cover"):
        cover(**bad)


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    window=st.integers(1, 40),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9]),
)
def test_cover_reaches_every_pixel_and_stays_inside(height, width, window, overlap):
    reached = np.zeros((height, width), int)
    for tile in cover(height=height, width=width, window=window, overlap=overlap):
        assert tile.stop_row <= height
        assert tile.stop_col <= width
        reached[tile.slices] += 1
    assert reached.min() >= 1


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        # nnU-Net: ceil((size - tile) / (tile * step)) + 1 tiles, evenly spread and rounded.
        (110, 64, 0.5, [0, 23, 46]),
        (128, 64, 0.5, [0, 32, 64]),
        (129, 64, 0.0, [0, 32, 65]),
        (64, 64, 0.5, [0]),
        (200, 100, 0.9, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    ],
)
def test_starts_are_those_of_nnunet(size, window, overlap, starts):
    tiles = cover(height=window, width=size, window=window, overlap=overlap)
    assert [tile.col for tile in tiles] == starts
