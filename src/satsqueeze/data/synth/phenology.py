"""How green each kind of land is on a day of the year."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.countries import LAND_USE, Country

YEAR = 365.0


def northern_day(day: NDArray[np.float64] | float, country: Country) -> NDArray[np.float64]:
    """The day of the year, 0..365, at which the north has the same season as a country has on ``day``."""
    later = YEAR / 2 if country.continent == "south" else 0.0
    return np.asarray((np.asarray(day) + later + country.early_days) % YEAR)


def greenness(kind: str, day: NDArray[np.float64], *, dryness: float) -> NDArray[np.float64]:
    """Share of living green, 0..1.

    Args:
        kind: one of ``LAND_USE``.
        day: northern day of the year, any shape.
        dryness: see :class:`satsqueeze.data.synth.countries.Country`.
    """
    if kind == "winter crop":  # sown in autumn, ripe in July
        return np.maximum(_bump(day, 135, 50) * (day < 195), 0.35 * _bump(day, 330, 40))
    if kind == "summer crop":  # sown in May, ripe in September
        return _bump(day, 215, 38) * (day < 270)
    drought = dryness * _bump(day, 220, 50)
    summer = 0.5 - 0.5 * np.cos(2 * np.pi * (day - 20) / YEAR)
    if kind == "grassland":
        return (0.45 + 0.5 * summer) * (1 - drought)
    if kind == "orchard":
        return (0.35 + 0.55 * summer) * (1 - 0.6 * drought)
    if kind == "forest":
        return 0.4 + 0.6 * np.clip(1.6 * summer, 0, 1)
    return np.zeros_like(day)


def zenith_deg(day: float, country: Country) -> float:
    """The sun's angle from the vertical when the satellite passes, degrees."""
    summer, winter = country.noon_zenith_deg
    season = float(northern_day(day, country)) - country.early_days
    return summer + (winter - summer) * (0.5 + 0.5 * float(np.cos(2 * np.pi * (season + 10) / YEAR)))


def _bump(day: NDArray[np.float64], peak: float, width: float) -> NDArray[np.float64]:
    distance = (day - peak + YEAR / 2) % YEAR - YEAR / 2
    return np.exp(-0.5 * (distance / width) ** 2)


KINDS = {name: number for number, name in enumerate(LAND_USE)}
"""Class of each kind of land."""
