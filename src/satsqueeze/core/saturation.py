"""Reflectance at which the sensors of older Landsats saturate: clouds are brighter than their detectors were made for.

Landsat 8 and 9 and Sentinel-2 have room for clouds. The Thematic Mapper (Landsat 4 and 5) and the Enhanced Thematic
Mapper Plus (Landsat 7) cut them off, each band at a level of its own, so that a cloud is flat and tinted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """Where the bands of a sensor saturate."""

    largest_radiance: Mapping[str, float]
    """Of each band, by common name, in W / (m2 sr um)."""
    solar_irradiance: Mapping[str, float]
    """Of the same bands outside the atmosphere, at one astronomical unit, in W / (m2 um)."""

    def levels(self, bands: Sequence[str]) -> NDArray[np.float32]:
        """Largest top-of-atmosphere reflectance of each band with the sun overhead, at one astronomical unit.

        A sun at another elevation raises all of them by one over its sine.

        Args:
            bands: common names in channel order.

        Returns:
            float32 (C,), infinite for bands that the sensor does not have.
        """
        return np.array([self._level(band) for band in bands], np.float32)

    def _level(self, band: str) -> float:
        if band not in self.largest_radiance:
            return math.inf
        return math.pi * self.largest_radiance[band] / self.solar_irradiance[band]


_TM_SUN = {"blue": 1983.0, "green": 1796.0, "red": 1536.0, "nir": 1031.0, "swir16": 220.0, "swir22": 83.44}
_ETM_SUN = {"blue": 1997.0, "green": 1812.0, "red": 1533.0, "nir": 1039.0, "swir16": 230.8, "swir22": 84.9}
SATURATIONS: Mapping[str, Saturation] = MappingProxyType(
    {
        "landsat-5-tm": Saturation(
            largest_radiance={
                "blue": 193.0, "green": 365.0, "red": 264.0, "nir": 221.0, "swir16": 30.2, "swir22": 16.5,
            },
            solar_irradiance=_TM_SUN,
        ),
        "landsat-7-etm-high-gain": Saturation(
            largest_radiance={
                "blue": 191.6, "green": 196.5, "red": 152.9, "nir": 157.4, "swir16": 31.06, "swir22": 10.8,
            },
            solar_irradiance=_ETM_SUN,
        ),
        "landsat-7-etm-low-gain": Saturation(
            largest_radiance={
                "blue": 293.7, "green": 300.9, "red": 234.4, "nir": 241.1, "swir16": 47.57, "swir22": 16.54,
            },
            solar_irradiance=_ETM_SUN,
        ),
    }
)  # fmt: skip
"""By name. Chander, Markham and Helder, Remote Sensing of Environment 113 (2009), tables 3 and 4."""


def saturation_of(name: str) -> Saturation:
    """The sensor of a name.

    Raises:
        SettingsError: there is none; the message names the closest.
    """
    if name not in SATURATIONS:
        raise SettingsError(f"no sensor is called {name!r}; {meant(name, SATURATIONS)}known: {', '.join(SATURATIONS)}")
    return SATURATIONS[name]
