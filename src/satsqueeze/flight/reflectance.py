"""Is it reflectance? The commonest way to get a wrong mask is to feed digital numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RadiometryError

HIGHEST_MEDIAN = 5.0
"""Reflectance above which the median of an image cannot lie; the brightest snow and cloud stay near 1."""
LOWEST_MEDIAN = -0.2
"""Reflectance below which it cannot lie."""
SAMPLES = 64
"""Rows and columns looked at, at most."""


def check_reflectance(image: NDArray[np.generic], channels: Sequence[int]) -> None:
    """Refuse what cannot be reflectance.

    Args:
        image: (C, H, W).
        channels: positions of the channels to look at.

    Raises:
        RadiometryError: integers, or a band with a median far from any reflectance: digital numbers.
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise RadiometryError(
            f"the image holds {image.dtype}: digital numbers, but reflectance in floating point is expected. Convert "
            "with satsqueeze.core.radiometry, for instance "
            "sentinel2_radiometry(product_name=...).to_reflectance(image)."
        )
    steps = [max(1, size // SAMPLES) for size in image.shape[1:]]
    sample = image[:, :: steps[0], :: steps[1]][list(channels)]
    # Each band by itself, and without the zeros that fill its edges: one band of digital numbers is one too many.
    seen = (band[np.isfinite(band) & (band != 0)] for band in sample)
    medians = [float(np.median(band)) for band in seen if band.size]
    odd = [median for median in medians if not LOWEST_MEDIAN <= median <= HIGHEST_MEDIAN]
    if odd:
        raise RadiometryError(
            f"the median of a band is {odd[0]:g}, which no reflectance reaches: it looks like digital numbers (DN), "
            "or like ones that were shifted twice. Convert with satsqueeze.core.radiometry, for instance "
            "(DN - 1000) / 10000 for Sentinel-2 of processing baseline 04.00 and later."
        )
