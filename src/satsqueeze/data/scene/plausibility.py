"""Numbers that cannot be reflectance, whatever a card or a user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RadiometryError
from satsqueeze.data.scene.radiometric_statement import STATEMENTS

BRIGHTEST_MEAN = 2.5
"""Mean reflectance above which numbers cannot be reflectance: clouds and snow stay below 1.3."""
DARKEST_MEAN = -0.2
"""Mean reflectance below which numbers cannot be reflectance: that of DN 0 by the factors of Landsat's level 2."""
SMALL_SCALE = 0.01
"""Reflectance per digital number below which the numbers are meant to be large."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is looked at, for the message."""

    file: str
    provenance: str
    bands: tuple[str, ...]


def require_plausible(
    values: NDArray[np.float32], valid: NDArray[np.bool_], channels: Sequence[int], look: Look
) -> None:
    """Check that derived values can be reflectance.

    Args:
        values: float32 (C, h, w), 0 where invalid.
        valid: (h, w).
        channels: those that are reflective.
        look: for the message.

    Raises:
        RadiometryError: a band's mean is above 2.5 or below -0.2.
    """
    count = int(valid.sum())
    if not count or not channels:
        return
    means = values.sum(axis=(1, 2), dtype=np.float64)[list(channels)] / count
    odd = np.flatnonzero((means > BRIGHTEST_MEAN) | (means < DARKEST_MEAN))
    if len(odd):
        worst = odd[np.abs(means[odd]).argmax()]
        raise RadiometryError(
            f"{look.file}: band {look.bands[channels[worst]]} has a mean of {means[worst]:.4g}, which cannot be "
            f"reflectance (expected 0..1, clouds up to about 1.3); its radiometry was: "
            f"{look.provenance}. State how numbers become reflectance: {STATEMENTS}"
        )


def require_not_scaled_twice(
    digital: NDArray[Any], valid: NDArray[np.bool_], channels: Sequence[int], look: Look
) -> None:
    """Check that floating-point numbers to be scaled down are not reflectance already.

    Args:
        digital: numbers as stored (C, h, w).
        valid: (h, w).
        channels: those whose scale is below ``SMALL_SCALE``.
        look: for the message.

    Raises:
        RadiometryError: all of them are below 2.5.
    """
    if not channels or not np.issubdtype(digital.dtype, np.floating) or not valid.any():
        return
    if np.abs(digital[list(channels)][:, valid]).max() < BRIGHTEST_MEAN:
        raise RadiometryError(
            f"{look.file} holds floating-point values below {BRIGHTEST_MEAN:g}, which look like reflectance already, "
            f"but its radiometry is: {look.provenance}. State 'radiometry: reflectance', or check the file"
        )
