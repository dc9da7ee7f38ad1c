"""The eight ways to lay a square image: flips and quarter turns, numbered so that views can be cached.

View v flips the rows if v & 1, then the columns if v & 2, then transposes if v & 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError, SettingsError

VIEWS = 8


def view_of(images: NDArray[Any], view: int) -> NDArray[Any]:
    """Images (..., H, W) in a view; shares their memory.

    Raises:
        SettingsError: no such view.
    """
    if not 0 <= view < VIEWS:
        raise SettingsError(f"views are numbered 0 to {VIEWS - 1}, got {view}")
    rows, cols = (slice(None, None, -1 if view & bit else 1) for bit in (1, 2))
    flipped = images[..., rows, cols]
    return np.swapaxes(flipped, -1, -2) if view & 4 else flipped


def views_of(images: NDArray[Any], views: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Each of the images (N, ..., H, W) in its own view (N,), as a copy.

    Raises:
        GridError: a view transposes, and H is not W.
        SettingsError: no such view.
    """
    if images.shape[-1] != images.shape[-2] and (views & 4).any():
        raise GridError(f"only square images can be transposed, got {images.shape[-2]} x {images.shape[-1]} px")
    turned = np.empty_like(images, order="C")
    for view in np.unique(views):
        chosen = np.flatnonzero(views == view)
        turned[chosen] = view_of(images[chosen], int(view))
    return turned
