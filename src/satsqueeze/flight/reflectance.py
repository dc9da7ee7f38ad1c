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
HIGHEST = 100.0
"""Reflectance above which no pixel lies: a level 1 Landsat number of 65535 under a sun 1 degree high comes to 70."""
LOWEST = -10.0
"""Reflectance below which none lies; over-corrected water and shade reach about -1. What lies beyond is fill."""
SAMPLES = 64
"""Rows and columns looked at, at most."""


def check_reflectance(
    image: NDArray[np.generic], channels: Sequence[int], bands: Sequence[str], valid: NDArray[np.bool_] | None = None
) -> None:
    """Refuse what cannot be reflectance.

    Args:
        image: (C, H, W).
        channels: positions of the channels to look at.
        bands: their names, for the message.
        valid: (H, W), True = valid; None: every finite pixel is.

    Raises:
        RadiometryError: integers, a band with a median far from any reflectance: digital numbers; or pixels with a
            value that no reflectance reaches: fill.
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise RadiometryError(
            f"the image holds {image.dtype}: digital numbers, but reflectance in floating point is expected. Convert "
            "with satsqueeze.core.radiometry, for instance "
            "sentinel2_radiometry(product_name=...).to_reflectance(image)."
        )
    _check_medians(image, channels, valid)
    require_no_fill(image, channels, bands, valid)


def require_no_fill(
    image: NDArray[np.generic],
    channels: Sequence[int],
    bands: Sequence[str],
    valid: NDArray[np.bool_] | None,
    *,
    of: str = "",
) -> None:
    """Refuse pixels that count as valid and hold what stands for a missing one, such as -9999 or 1e20.

    Args:
        image: floating point (C, H, W).
        channels: positions of the channels to look at.
        bands: their names, for the message.
        valid: (H, W), True = valid; None: every finite pixel is.
        of: what the image is, for the message.

    Raises:
        RadiometryError: a value below -10 or above 100.
    """
    if within_reach(image):  # all at once is fastest, however the array is laid out
        return
    odd = [channel for channel in channels if not within_reach(image[channel])]
    if not odd:
        return
    sound = np.ones(image.shape[1:], np.bool_) if valid is None else valid.copy()
    for channel in channels:
        # A pixel that one band lacks is missing in all, whatever the others hold.
        sound &= np.isfinite(image[channel])
    for channel in odd:
        found = image[channel][sound]
        beyond = found[(found < LOWEST) | (found > HIGHEST)]
        if beyond.size:
            raise RadiometryError(
                f"band {bands[list(channels).index(channel)]}{of} holds {beyond[0]:g} or the like in {beyond.size} of "
                f"{sound.size} pixels, which no reflectance reaches (expected {LOWEST:g} to {HIGHEST:g}): it looks "
                "like what fills missing pixels. Set them to NaN, or pass 'valid' with False there"
            )


def within_reach(values: NDArray[np.generic]) -> bool:
    """Whether nothing lies beyond any reflectance; NaN does not, infinity does."""
    lowest, highest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    return not (lowest < LOWEST or highest > HIGHEST)


def _check_medians(image: NDArray[np.generic], channels: Sequence[int], valid: NDArray[np.bool_] | None) -> None:
    steps = [max(1, size // SAMPLES) for size in image.shape[1:]]
    sample = image[:, :: steps[0], :: steps[1]][list(channels)]
    sound = np.isfinite(sample).all(axis=0)
    if valid is not None:
        sound &= valid[:: steps[0], :: steps[1]]
    # Each band by itself, and without the zeros that fill its edges: one band of digital numbers is one too many.
    seen = (band[sound & (band != 0)] for band in sample)
    medians = [float(np.median(band)) for band in seen if band.size]
    # One below the lowest is of fill, for which there is another remedy.
    odd = [median for median in medians if LOWEST <= median < LOWEST_MEDIAN or median > HIGHEST_MEDIAN]
    if odd:
        raise RadiometryError(
            f"the median of a band is {odd[0]:g}, which no reflectance reaches: it looks like digital numbers (DN), "
            "or like ones that were shifted twice. Convert with satsqueeze.core.radiometry, for instance "
            "(DN - 1000) / 10000 for Sentinel-2 of processing baseline 04.00 and later."
        )
