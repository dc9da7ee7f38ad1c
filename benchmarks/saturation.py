"""Reflectance at which the sensors of older Landsats saturate: clouds are brighter than their detectors were made for.

Landsat 8 and 9 and Sentinel-2 have room for clouds. Thematic Mapper (Landsat 4, 5) and Enhanced Thematic Mapper Plus
(Landsat 7) cut them off, band by band, so that a cloud is flat, and red or blue by where its bands were cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """What a sensor can measure. Radiances in W / (m2 sr um) and W / (m2 um), from Chander, Markham and Helder 2009."""

    name: str
    largest_radiance: Mapping[str, float]
    """Of each band, by common name."""
    solar_irradiance: Mapping[str, float]
    """Outside the atmosphere, at one astronomical unit."""

    def limits(self, bands: tuple[str, ...], sun_elevation: float) -> NDArray[np.float32]:
        """Largest top-of-atmosphere reflectance of each band, float32 (C, 1, 1), at one astronomical unit.

        Args:
            bands: common names in channel order.
            sun_elevation: degrees above the horizon.
        """
        height = math.sin(math.radians(sun_elevation))
        values = [math.pi * self.largest_radiance[band] / (self.solar_irradiance[band] * height) for band in bands]
        return np.array(values, np.float32)[:, None, None]


_TM_SUN = {"blue": 1983.0, "green": 1796.0, "red": 1536.0, "nir": 1031.0}
_ETM_SUN = {"blue": 1997.0, "green": 1812.0, "red": 1533.0, "nir": 1039.0}
SATURATIONS = (
    Saturation(
        name="Landsat 5 TM",
        largest_radiance={"blue": 193.0, "green": 365.0, "red": 264.0, "nir": 221.0},
        solar_irradiance=_TM_SUN,
    ),
    Saturation(
        name="Landsat 7 ETM+, high gain",
        largest_radiance={"blue": 191.6, "green": 196.5, "red": 152.9, "nir": 157.4},
        solar_irradiance=_ETM_SUN,
    ),
    Saturation(
        name="Landsat 7 ETM+, low gain",
        largest_radiance={"blue": 293.7, "green": 300.9, "red": 234.4, "nir": 241.1},
        solar_irradiance=_ETM_SUN,
    ),
)
