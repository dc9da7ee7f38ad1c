"""Tiles cover an image once, lie on the pooling grid and carry their halo; reflection is numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.window import Window
from satsqueeze.flight.plans.tiling import Mirror, Tiling, importance, spans, up


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    window=st.integers(16, 128),
    halo=st.integers(0, 60),
    multiple=st.sampled_from([1, 2, 4, 16, 24]),
)
def test_cores_cover_once_and_halos_reach(height, width, window, halo, multiple):
    tiling = Tiling(window=window, halo=halo, multiple=multiple)
    rows, cols = tiling.padded(height), tiling.padded(width)
    seen = np.zeros((rows, cols), int)
    for tile in tiling.tiles(height=height, width=width):
        seen[tile.core.slices] += 1
        for value in vars(tile.read).values():
            assert value % multiple == 0
        assert tile.core.row % multiple == tile.core.col % multiple == 0
        assert tile.read.row <= max(0, tile.core.row - halo)
        assert tile.read.col <= max(0, tile.core.col - halo)
        assert tile.read.stop_row >= min(rows, tile.core.stop_row + halo)
        assert tile.read.stop_col >= min(cols, tile.core.stop_col + halo)
    assert (seen == 1).all()


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=st.integers(1, 60), halo=st.integers(0, 5), more=st.integers(1, 20))
def test_spans_cover_once_with_their_halos_and_are_of_one_length(data, size, halo, more):
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    length = 2 * halo + more
    found = list(spans(start=start, stop=stop, size=size, length=length, halo=halo))
    assert [span.start for span in found] == [start, *(span.stop for span in found[:-1])]
    assert found[-1].stop == stop
    room = min(size, stop + halo) - max(0, start - halo)
    for span in found:
        assert span.start < span.stop
        assert max(0, start - halo) <= span.first <= max(0, span.start - halo)
        assert min(size, span.stop + halo) <= span.last <= min(size, stop + halo)
        assert span.last - span.first == min(length, room)


@pytest.mark.parametrize(("size", "multiple", "want"), [(0, 8, 0), (1, 8, 8), (8, 8, 8), (9, 8, 16), (7, 1, 7)])
def test_the_next_multiple(size, multiple, want):
    assert up(size, multiple) == want


def test_an_image_that_fits_is_one_tile():
    tiles = list(Tiling(window=64, halo=30, multiple=8).tiles(height=64, width=33))
    assert [(t.read.height, t.read.width) for t in tiles] == [(64, 40)]


def test_tiles_are_about_as_large_as_the_window():
    tiling = Tiling(window=1024, halo=46, multiple=8)
    assert tiling.core == 1024 - 2 * 48
    assert Tiling(window=64, halo=46, multiple=8).core == 32, "never less than half a window"
    assert Tiling(window=4, halo=0, multiple=8).core == 8


@pytest.mark.parametrize("values", [(0, 0, 1), (8, -1, 1), (8, 0, 0), (1.5, 0, 1), ("8", 0, 1)])
def test_impossible_tilings_are_refused(values):
    with pytest.raises(SettingsError, match="tiling needs"):
        Tiling(window=values[0], halo=values[1], multiple=values[2])


@settings(deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), below=st.integers(0, 25), right=st.integers(0, 25))
def test_reflection_is_that_of_numpy(height, width, below, right):
    image = np.arange(2 * height * width, dtype=np.float32).reshape(2, height, width)
    whole = Window(row=0, col=0, height=height + below, width=width + right)
    want = np.pad(image, ((0, 0), (0, below), (0, right)), mode="reflect")
    np.testing.assert_array_equal(Mirror(image).read(whole, [1, 0]), want[[1, 0]])
    part = Window(row=whole.height // 2, col=whole.width // 3, height=1 + whole.height // 3, width=1)
    np.testing.assert_array_equal(Mirror(image).read(part, [0]), want[:1, *part.slices])


def test_weights_are_a_gaussian_with_its_peak_in_the_middle():
    weights = importance(height=17, width=33)
    assert weights.shape == (17, 33)
    assert weights.argmax() == 8 * 33 + 16
    np.testing.assert_allclose(weights, weights[::-1, ::-1])
    np.testing.assert_allclose(weights[8, 16 + 4], np.exp(-0.5 * (4 / (33 / 8)) ** 2), rtol=1e-6)
    assert weights.min() >= 1e-3
    np.testing.assert_allclose(importance(height=1, width=1), 1)
