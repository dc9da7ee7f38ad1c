"""Top-of-atmosphere spectra of land covers: means and the main directions in which they vary.

Twelve covers come from real statistics (``spectra.json``, derived by ``scripts/derive_spectra.py``). EuroSAT shows
temperate Europe only, so deserts, rock, salt, snow, ice, dry grass, burnt and red soil are typical values written here:
level and shape after published spectral libraries and clear top-of-atmosphere scenes, not a measurement.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.atmosphere import BANDS, path_reflectance

FACTORS = 3
"""Directions of variation kept per cover, between places and within a place."""

LAND_COVER = (
    "water", "turbid_water", "forest", "crop", "bare_soil", "pasture", "orchard", "herbaceous", "residential",
    "industrial", "road", "bright_roof", "sand", "rock", "salt_flat", "snow", "ice", "wetland", "dry_grass", "burnt",
    "red_soil",
)  # fmt: skip
"""Names of the land-cover codes 0, 1, ...; 255 is nodata."""

# name: (mean reflectance by band, brightness spread between places, and within, tilt towards longer wavelengths)
_TYPICAL: dict[str, tuple[tuple[float, ...], float, float, float]] = {
    "sand": ((.175, .175, .235, .33, .355, .37, .38, .395, .405, .16, .003, .47, .40), .24, .035, .06),
    "rock": ((.155, .145, .145, .165, .172, .178, .183, .19, .195, .075, .002, .22, .19), .26, .06, .05),
    "salt_flat": ((.37, .39, .43, .47, .475, .48, .48, .48, .475, .22, .004, .38, .30), .20, .05, .05),
    "snow": ((.87, .85, .755, .80, .80, .80, .80, .79, .775, .45, .012, .11, .08), .12, .015, .025),
    "ice": ((.47, .455, .42, .405, .375, .36, .345, .325, .305, .15, .006, .045, .03), .20, .05, .07),
    "wetland": ((.12, .098, .085, .072, .10, .16, .185, .19, .20, .07, .001, .13, .07), .10, .11, .12),
    "dry_grass": ((.135, .122, .122, .15, .178, .205, .22, .235, .25, .10, .002, .30, .20), .16, .07, .07),
    "burnt": ((.11, .088, .068, .062, .066, .072, .078, .085, .093, .04, .001, .15, .13), .12, .10, .06),
    "red_soil": ((.125, .117, .122, .185, .21, .225, .24, .255, .265, .11, .002, .33, .27), .18, .06, .05),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpectralTable:
    """Spectra of all land covers in all bands, indexed by land-cover code."""

    mean: NDArray[np.float32]
    """(K, 13) reflectance."""
    between: NDArray[np.float32]
    """(K, FACTORS, 13): one standard deviation along each main direction, from place to place."""
    within: NDArray[np.float32]
    """(K, FACTORS, 13): the same from pixel to pixel within a place."""


@lru_cache(maxsize=1)
def spectral_table() -> SpectralTable:
    """The spectra of ``LAND_COVER`` in the order of ``BANDS``."""
    record = json.loads(files("satsqueeze.data.synth").joinpath("spectra.json").read_text(encoding="utf-8"))
    rows = [_derived(record["classes"][name]) if name in record["classes"] else _typical(name) for name in LAND_COVER]
    mean, between, within = (np.stack(part) for part in zip(*rows, strict=True))
    return SpectralTable(mean=mean, between=between, within=within)


def principal_factors(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """The main directions of a covariance, scaled to one standard deviation each.

    Args:
        covariance: (B, B), symmetric.

    Returns:
        Float32 (FACTORS, B); largest first, sign such that the sum is positive, rounded so that the linear algebra
        library cannot change a scene.
    """
    values, vectors = np.linalg.eigh(covariance)
    largest = np.argsort(values)[::-1][:FACTORS]
    factors = vectors[:, largest] * np.sqrt(np.clip(values[largest], 0, None))
    factors = factors * np.where(factors.sum(axis=0) < 0, -1.0, 1.0)
    rounded: NDArray[np.float32] = np.round(factors.T, 5).astype(np.float32)
    return rounded


def _derived(record: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    mean = np.array(record["mean"], dtype=np.float32)
    return mean, principal_factors(np.array(record["between"])), principal_factors(np.array(record["within"]))


def _typical(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    values, between, within, tilt = _TYPICAL[name]
    mean = np.array(values, dtype=np.float32)
    ground = np.clip(mean - path_reflectance(BANDS), 0, None)
    slope = ground * np.linspace(-1, 1, len(BANDS), dtype=np.float32)
    curve = ground * np.cos(np.linspace(0, 3 * np.pi, len(BANDS), dtype=np.float32))
    shapes = np.stack([ground, slope, curve])
    spread = np.array([[between], [tilt], [0.3 * tilt]], dtype=np.float32)
    grain = np.array([[within], [0.4 * within], [0.2 * within]], dtype=np.float32)
    return mean, (shapes * spread).astype(np.float32), (shapes * grain).astype(np.float32)
