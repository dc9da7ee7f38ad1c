"""Where the sun stands and where shadows fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from satsqueeze.core.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class PixelOffset:
    """A displacement in whole pixels: rows downwards (south), columns to the right (east)."""

    rows: int
    cols: int


@dataclass(frozen=True, kw_only=True)
class Sun:
    """Direction of the sun."""

    zenith_deg: float
    """Angle from the vertical, degrees, 0 <= zenith < 85."""
    azimuth_deg: float
    """Clockwise from north, degrees."""

    def __post_init__(self) -> None:
        if not 0 <= self.zenith_deg < 85:
            raise SettingsError(f"the sun's zenith angle must lie in [0, 85) degrees, got {self.zenith_deg}")

    @property
    def rows(self) -> float:
        """Row component of the unit vector towards the sun in the image plane (south is positive)."""
        return -float(np.cos(np.deg2rad(self.azimuth_deg)))

    @property
    def cols(self) -> float:
        """Column component of the unit vector towards the sun in the image plane (east is positive)."""
        return float(np.sin(np.deg2rad(self.azimuth_deg)))

    @property
    def tangent(self) -> float:
        """Length of a shadow per height."""
        return float(np.tan(np.deg2rad(self.zenith_deg)))

    def shadow_offset(self, *, height_m: float, gsd_m: float) -> PixelOffset:
        """From an object to its shadow on flat ground, seen from above: height * tan(zenith), away from the sun.

        Args:
            height_m: height of the object above the ground, metres.
            gsd_m: pixel size, metres.
        """
        length = height_m * self.tangent / gsd_m
        return PixelOffset(rows=round(-self.rows * length), cols=round(-self.cols * length))
