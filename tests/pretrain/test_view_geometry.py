"""Coordinates of views against views of an image of coordinates."""

from itertools import product

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.pretrain.view_geometry import ViewGeometry

TURNS = list(product((False, True), repeat=3))


def coordinate_image(height, width):
    """Float32 (2, height, width): each pixel holds its own row and column."""
    return torch.stack(torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij"))


def grid(size):
    return np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1).astype(float)


def view_of(image, view):
    window = image[:, view.window.slices[0], view.window.slices[1]]
    return view.cut(window, torch.ones(window.shape[1:], dtype=torch.bool))


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("side", [16, 32, 12, 21])
def test_every_pixel_of_a_view_shows_the_coordinates_that_geometry_says(turns, side):
    names = ("upside_down", "sideways", "transposed")
    view = ViewGeometry(row=3, col=7, side=side, size=16, **dict(zip(names, turns, strict=True)))
    shown = view_of(coordinate_image(40, 44), view).numpy()
    told = view.to_image(grid(16))
    # Resampling extends the outermost pixels, so that its borders are not exact.
    inner = slice(None) if side == 16 else slice(2, -2)
    np.testing.assert_allclose(np.moveaxis(shown, 0, -1)[inner, inner], told[inner, inner], atol=1e-4)


@pytest.mark.parametrize("turns", TURNS)
def test_from_image_inverts_to_image(turns):
    names = ("upside_down", "sideways", "transposed")
    view = ViewGeometry(row=3, col=7, side=23, size=16, **dict(zip(names, turns, strict=True)))
    points = np.random.default_rng(0).uniform(-5, 40, (50, 2))
    np.testing.assert_allclose(view.to_image(view.from_image(points)), points, atol=1e-9)


def test_shared_pixels_are_in_both_windows_and_no_others():
    first = ViewGeometry(row=2, col=3, side=10, size=8)
    second = ViewGeometry(row=6, col=0, side=12, size=8)
    expected = {(r, c) for r in range(2, 12) for c in range(3, 13)} & {(r, c) for r in range(6, 18) for c in range(12)}
    assert {tuple(point) for point in first.shared(second)} == expected
    assert len(first.shared(ViewGeometry(row=12, col=0, side=4, size=8))) == 0


def test_invalid_pixels_carry_no_weight():
    window = torch.full((1, 8, 8), 0.3)
    valid = torch.ones(8, 8, dtype=torch.bool)
    window[:, :, :3], valid[:, :3] = 0, False
    shown = ViewGeometry(row=0, col=0, side=8, size=4).cut(window, valid)
    assert torch.allclose(shown[shown != 0], torch.tensor(0.3))
    assert (shown[:, :, 0] == 0).all()
    assert (shown[:, :, 2:] != 0).all()


def test_a_window_without_a_pixel_is_refused():
    with pytest.raises(SettingsError, match=r"at least 1 px.*side 0"):
        ViewGeometry(row=0, col=0, side=0, size=8)
