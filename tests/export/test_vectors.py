"""Generated images: seeded, smooth, in the range of reflectance."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.export.vectors import smooth_image


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 48)])
def test_range_and_seed(size):
    make = lambda seed: smooth_image(  # noqa: E731
        channels=5, height=size[0], width=size[1], generator=np.random.default_rng(seed)
    )
    image = make(1)
    assert image.shape == (5, *size)
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == pytest.approx(1.2)
    np.testing.assert_array_equal(image, make(1))
    assert not np.array_equal(image, make(2))


def test_smooth_and_correlated():
    image = smooth_image(channels=4, height=96, width=96, generator=np.random.default_rng(0))
    assert np.abs(np.diff(image, axis=2)).max() < 0.1
    assert np.corrcoef(image.reshape(4, -1)).min() > 0.5
