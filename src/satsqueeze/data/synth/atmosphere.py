"""What the air adds: path reflectance, haze, and the sky light left in shadow. All by wavelength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.errors import BandError
from satsqueeze.data.synth.noise import Spectrum, power_noise

BANDS = tuple(SENTINEL2)
"""Names of all bands the generator can make, by wavelength."""

# Lowest top-of-atmosphere reflectance seen over dark targets; molecules scatter as wavelength^-4. The two absorption
# bands (water vapour at 945 and 1375 nm) hardly see the ground.
_PATH = (0.105, 0.074, 0.043, 0.022, 0.018, 0.014, 0.011, 0.009, 0.008, 0.004, 0.001, 0.002, 0.001)
# Share of the light at the ground that comes from the sky, hence what is left in a cloud's shadow.
_DIFFUSE = (0.48, 0.43, 0.36, 0.31, 0.29, 0.27, 0.26, 0.25, 0.24, 0.24, 0.24, 0.17, 0.14)


def band_index(bands: Sequence[str]) -> list[int]:
    """Positions of ``bands`` among all the generator's bands.

    Raises:
        BandError: a name the generator does not know.
    """
    unknown = [band for band in bands if band not in BANDS]
    if unknown or not bands:
        raise BandError(f"synthetic bands must be some of {', '.join(BANDS)}; got {', '.join(bands) or 'none'}")
    return [BANDS.index(band) for band in bands]


def path_reflectance(bands: Sequence[str]) -> NDArray[np.float32]:
    """Float32 (C,): top-of-atmosphere reflectance of a black ground under clear air."""
    return np.array(_PATH, dtype=np.float32)[band_index(bands)]


def diffuse_share(bands: Sequence[str]) -> NDArray[np.float32]:
    """Float32 (C,): share of the ground's light that comes from the sky instead of the sun, 0..1."""
    return np.array(_DIFFUSE, dtype=np.float32)[band_index(bands)]


def haze_colour(bands: Sequence[str], *, angstrom: float) -> NDArray[np.float32]:
    """Float32 (C,): haze reflectance relative to 550 nm, (wavelength / 550 nm)^-angstrom (Angstrom's law)."""
    wavelength = np.array([SENTINEL2[band].wavelength_nm for band in BANDS])
    colour = (wavelength / 550.0) ** -angstrom
    colour[BANDS.index("nir09")] *= 0.4
    colour[BANDS.index("cirrus")] *= 0.02
    return colour.astype(np.float32)[band_index(bands)]


def lay_haze(
    surface: NDArray[np.float32], bands: Sequence[str], rng: np.random.Generator, *, level: float, angstrom: float
) -> None:
    """Lay uneven haze over a surface (C, H, W), in place: it adds reflectance, more at short wavelengths, and dims.

    Args:
        surface: top-of-atmosphere reflectance.
        bands: common names of the C channels.
        rng: of the unevenness.
        level: mean haze reflectance at 550 nm.
        angstrom: see :func:`haze_colour`.
    """
    height, width = surface.shape[1:]
    size = Spectrum(exponent=2.3, outer=0.6 * min(height, width))
    field = np.clip(1 + 0.35 * power_noise(rng, height, width, size), 0, None)
    field *= np.float32(level)
    for channel, colour in enumerate(haze_colour(bands, angstrom=angstrom)):
        added = field * colour
        surface[channel] += added * (1 - np.float32(1.6) * np.minimum(surface[channel], 1))
