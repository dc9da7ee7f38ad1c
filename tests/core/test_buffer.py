"""The buffer around foreground against distances computed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.buffer import LARGEST_RADIUS, Buffer
from satsqueeze.core.errors import SettingsError


def widened_slowly(mask, radius, foreground):
    """Each background pixel looks at all foreground pixels; the class named first wins."""
    found = mask.copy()
    for row, col in np.ndindex(mask.shape):
        if mask[row, col] in (*foreground, 255):
            continue
        for value in reversed(foreground):
            rows, cols = np.nonzero(mask == value)
            if rows.size and ((rows - row) ** 2 + (cols - col) ** 2).min() <= radius**2:
                found[row, col] = value
    return found


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 14), width=st.integers(1, 14), radius=st.floats(0, 20), seed=st.integers(0, 2**16),
    foreground=st.sampled_from([(1,), (1, 2), (2, 1), (3,)]),
)  # fmt: skip
def test_pixels_within_the_radius_become_foreground(height, width, radius, seed, foreground):
    generator = np.random.default_rng(seed)
    mask = generator.choice(np.array([0, 1, 2, 3, 255], np.uint8), (height, width), p=[0.8, 0.05, 0.05, 0.05, 0.05])
    found = Buffer(radius=radius, foreground=foreground).widen(mask)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, widened_slowly(mask, radius, foreground))


@pytest.mark.parametrize(("radius", "pixels"), [(0, 1), (0.99, 1), (1, 5), (1.5, 9), (2, 13), (2.5, 21), (5, 81)])
def test_one_pixel_becomes_a_disk(radius, pixels):
    mask = np.zeros((21, 21), np.uint8)
    mask[10, 10] = 1
    assert Buffer(radius=radius, foreground=(1,)).widen(mask).sum() == pixels


def test_missing_pixels_neither_grow_nor_are_grown_over():
    mask = np.array([[1, 255, 0, 0, 255]], np.uint8)
    assert Buffer(radius=2, foreground=(1,)).widen(mask).tolist() == [[1, 255, 1, 0, 255]]


def test_the_mask_that_was_given_stays_as_it_was():
    mask = np.array([[1, 0]], np.uint8)
    Buffer(radius=1, foreground=(1,)).widen(mask)
    assert mask.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("width_m", "gsd_m", "reach"),
    [(25, 10, 2), (25, 30, 0), (60, 30, 2), (25, None, 0), (0, 10, 0), (30, 10.000000000000002, 3), (30, 10.0001, 2)],
)
def test_metres_become_pixels_where_their_size_is_known(width_m, gsd_m, reach):
    assert Buffer.on_ground(width_m, gsd_m, (1,)).reach == reach


@pytest.mark.parametrize("radius", [-1, LARGEST_RADIUS + 1, float("nan"), float("inf")])
def test_impossible_radii_are_refused(radius):
    with pytest.raises(SettingsError, match="pixels wide"):
        Buffer(radius=radius, foreground=(1,))
