"""Four invented countries on two continents: what grows there, on which soil, in which season, under which sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from satsqueeze.core.names import named

LAND_USE = ("water", "forest", "winter crop", "summer crop", "grassland", "orchard", "built-up", "bare ground")
"""Classes 0, 1, ... of land cover; 255 where clouds or nodata hide it."""
FIELD_CLASSES = (2, 3, 4, 5, 7)
"""Those that parcels hold, in the order of a country's shares."""
Continent = Literal["north", "south"]


@dataclass(frozen=True, kw_only=True)
class Country:
    """What makes the images of a country look alike, and unlike those of another."""

    name: str
    continent: Continent
    """The seasons of the south are half a year apart from those of the north."""
    shares: tuple[float, float, float, float, float]
    """Of the parcels: winter crop, summer crop, grassland, orchard, bare ground."""
    woods: tuple[float, float]
    """Share of the land, from least to most."""
    towns: tuple[float, float]
    lakes: tuple[float, float]
    parcel_m: tuple[float, float]
    """Typical side of a parcel, metres, from least to most."""
    soil: Literal["bare_soil", "red_soil", "sand"]
    """What fields show where nothing grows."""
    dryness: float
    """Share of the green that the dry season takes from grassland and orchards, 0..1."""
    early_days: float
    """How many days earlier than elsewhere on its continent everything grows."""
    relief_m: float
    """Height of the hills, metres."""
    haze: float
    """Mean haze reflectance at 550 nm."""
    cloudiness: float
    """Mean share of an image under cloud, 0..1."""
    noon_zenith_deg: tuple[float, float]
    """The sun's angle from the vertical in midsummer and midwinter."""


COUNTRIES = {
    country.name: country
    for country in (
        Country(
            name="alba",
            continent="north",
            shares=(3.0, 2.0, 1.5, 0.4, 0.3),
            woods=(0.05, 0.25),
            towns=(0.0, 0.12),
            lakes=(0.0, 0.06),
            parcel_m=(120, 320),
            soil="bare_soil",
            dryness=0.15,
            early_days=0,
            relief_m=40,
            haze=0.010,
            cloudiness=0.25,
            noon_zenith_deg=(28, 68),
        ),
        Country(
            name="borea",
            continent="north",
            shares=(1.0, 1.0, 3.0, 0.2, 0.3),
            woods=(0.25, 0.55),
            towns=(0.0, 0.06),
            lakes=(0.02, 0.15),
            parcel_m=(80, 200),
            soil="bare_soil",
            dryness=0.05,
            early_days=-20,
            relief_m=150,
            haze=0.006,
            cloudiness=0.35,
            noon_zenith_deg=(38, 75),
        ),
        Country(
            name="corda",
            continent="south",
            shares=(1.0, 2.5, 1.5, 1.5, 1.0),
            woods=(0.0, 0.15),
            towns=(0.0, 0.08),
            lakes=(0.0, 0.04),
            parcel_m=(60, 160),
            soil="red_soil",
            dryness=0.6,
            early_days=15,
            relief_m=80,
            haze=0.022,
            cloudiness=0.15,
            noon_zenith_deg=(12, 45),
        ),
        Country(
            name="drova",
            continent="south",
            shares=(2.0, 1.5, 1.5, 0.6, 1.5),
            woods=(0.0, 0.10),
            towns=(0.0, 0.10),
            lakes=(0.0, 0.03),
            parcel_m=(200, 600),
            soil="sand",
            dryness=0.8,
            early_days=-10,
            relief_m=20,
            haze=0.030,
            cloudiness=0.10,
            noon_zenith_deg=(15, 52),
        ),
    )
}
"""By name."""


def country_called(name: str) -> Country:
    """The country of that name.

    Raises:
        SettingsError: there is none.
    """
    return named(COUNTRIES, name, "country")
