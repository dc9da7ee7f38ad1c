from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.data.sampling.dihedral import VIEWS, view_of, views_of


def test_views_are_the_eight_symmetries_of_the_square():
    image = np.arange(9).reshape(3, 3)
    views = {view_of(image, view).tobytes() for view in range(VIEWS)}
    symmetries = {np.rot90(one, turns).tobytes() for one in (image, image.T) for turns in range(4)}
    assert views == symmetries


def test_views_as_they_are_described():
    image = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(view_of(image, 0), image)
    np.testing.assert_array_equal(view_of(image, 1), image[::-1])
    np.testing.assert_array_equal(view_of(image, 2), image[:, ::-1])
    np.testing.assert_array_equal(view_of(image, 7), image[::-1, ::-1].T)


def test_every_image_in_its_own_view():
    images = np.random.default_rng(0).normal(size=(20, 2, 5, 5))
    views = np.arange(20) % VIEWS
    turned = views_of(images, views)
    for image, view, found in zip(images, views, turned, strict=True):
        np.testing.assert_array_equal(found, view_of(image, int(view)))
    assert turned.flags.c_contiguous


def test_refusals():
    with pytest.raises(SettingsError, match="numbered 0 to 7, got 8"):
        view_of(np.zeros((2, 2)), 8)
    with pytest.raises(GridError, match="got 2 x 3 px"):
        views_of(np.zeros((1, 1, 2, 3)), np.array([4]))
    assert views_of(np.zeros((1, 1, 2, 3)), np.array([3])).shape == (1, 1, 2, 3)
