"""Pixels near others, with which they are paired."""

from __future__ import annotations

import numpy as np

from satsqueeze.pretrain.view_geometry import Points


def neighbours(generator: np.random.Generator, pixels: Points, usable: Points, apart: int) -> Points:
    """A usable pixel near each pixel; the pixel itself where the one that is drawn cannot be used.

    Args:
        generator: draws; left as it is where ``apart`` is 0.
        pixels: whole (row, col) >= 0, float64 (n, 2), all among the usable ones.
        usable: float64 (m, 2).
        apart: largest difference of rows and of columns, pixels.

    Returns:
        Float64 (n, 2).
    """
    if not apart or not len(pixels):
        return pixels
    drawn = pixels + generator.integers(-apart, apart + 1, pixels.shape)
    known = np.zeros(usable.max(axis=0).astype(np.intp) + apart + 1, np.bool_)
    known[tuple(usable.astype(np.intp).T)] = True
    inside = drawn.min(axis=1) >= 0
    rows, cols = np.where(inside[:, None], drawn, 0).astype(np.intp).T
    return np.where((inside & known[rows, cols])[:, None], drawn, pixels)
