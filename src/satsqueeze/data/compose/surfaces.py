"""Clear surfaces that are mistaken for cloud, and how to turn ordinary clear ground into them.

Images are float32 top-of-atmosphere reflectance (4, n, n) of blue, green, red and nir.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.compose.fractal import fractal

Image = NDArray[np.float32]

SPECTRA = MappingProxyType(
    {
        "sand": (0.22, 0.29, 0.40, 0.48),
        "bright sand": (0.27, 0.38, 0.52, 0.60),
        "red soil": (0.13, 0.15, 0.25, 0.33),
        "grey soil": (0.17, 0.19, 0.23, 0.29),
        "salt": (0.47, 0.53, 0.57, 0.57),
        "gypsum": (0.62, 0.68, 0.70, 0.70),
        "snow": (0.88, 0.82, 0.85, 0.80),
        "old snow": (0.62, 0.57, 0.58, 0.53),
        "wet ice": (0.48, 0.45, 0.42, 0.30),
        "snow, surface reflectance": (0.80, 0.82, 0.82, 0.76),
        "bright snow": (1.00, 0.94, 0.97, 0.92),
        "blue ice": (0.55, 0.50, 0.40, 0.22),
        "concrete": (0.25, 0.26, 0.28, 0.32),
        "hazy water": (0.16, 0.12, 0.08, 0.04),
        "turbid water": (0.17, 0.18, 0.17, 0.08),
        "sun glint": (0.20, 0.18, 0.17, 0.15),
        "savanna": (0.12, 0.12, 0.14, 0.24),
        "snow under haze": (0.88, 0.78, 0.81, 0.77),
        "ice sheet": (0.95, 0.86, 0.885, 0.86),
        "snow, low sun": (0.84, 0.72, 0.775, 0.82),
        "glacier": (0.46, 0.42, 0.42, 0.34),
        "karst": (0.26, 0.225, 0.235, 0.285),
        "bright arid": (0.23, 0.24, 0.26, 0.42),
        "white roof": (0.40, 0.40, 0.41, 0.43),
    }
)
"""Typical reflectance in blue, green, red and nir; typed from experience and the literature, not measured here."""

FALLEN = ((0.96, 0.97, 0.96, 0.90), (0.84, 0.85, 0.85, 0.78), (0.62, 0.65, 0.68, 0.66))
"""Fresh, settled and dusty snow on the ground, without air; typed as above."""
RAYLEIGH = (0.16, 0.09, 0.047, 0.016)
"""Optical depth of the air above sea level at 480, 560, 655 and 865 nm, within 0.01 of Bodhaine et al. 1999."""
OZONE = (0.005, 0.03, 0.018, 0.0)
"""Optical depth of 300 Dobson units of ozone there, rounded."""
TREES = ((0.10, 0.075, 0.055, 0.13), (0.14, 0.12, 0.115, 0.21))
"""Close conifers and bare broad-leaved trees, typed as above."""
SNOW = ("snow", "old snow", "snow under haze", "ice sheet", "snow, low sun", "glacier")
BRIGHT = (*SNOW, "wet ice", "salt", "gypsum", "bright snow", "white roof", "bright sand", "karst")


def recolour(ground: Image, rng: np.random.Generator, surface: str | None = None) -> Image:
    """Keep the texture of clear ground and replace its spectrum by that of another surface, or a mixture of two.

    Args:
        ground: clear image.
        rng: source of all randomness.
        surface: a key of ``SPECTRA``; None draws one.
    """
    size, names, grey = ground.shape[1], list(SPECTRA), _relief_of(ground)
    first = np.array(SPECTRA[surface or names[rng.integers(len(names))]])
    mixed_with_other = rng.random() < 0.35
    second = np.array(SPECTRA[names[rng.integers(len(names))]]) if mixed_with_other else first * (0.8, 0.85, 0.9, 0.95)
    share = np.zeros((size, size))
    if rng.random() < 0.6:
        share = np.clip(0.5 + 0.8 * fractal(size, 3.0, rng) + rng.uniform(-1, 1), 0, 1)
    spectrum = first[:, None, None] * (1 - share) + second[:, None, None] * share
    tint = np.exp(rng.normal(0, 0.015 if first[0] > 0.4 else 0.04, 4))
    spectrum = spectrum * np.exp(rng.normal(0, 0.12)) * tint[:, None, None]
    # Smooth and of middling brightness is what cloud looks like, and ice hardly ever does.
    weakest = 0.09 if 0.28 < first[0] < 0.7 and first[3] < 1.15 * first[0] else 0.01
    strength = np.exp(rng.uniform(np.log(weakest), np.log(0.5)))
    texture = grey * strength + fractal(size, 2.5, rng) * rng.uniform(0, 0.05) * strength
    # Level ground above 1 does not occur, level cloud does.
    top = 1.3 if texture.std() > 0.1 else 0.99
    image: Image = np.clip(spectrum * np.exp(texture), 0.005, top).astype(np.float32)
    return image


def snowy_mountains(ground: Image, rng: np.random.Generator) -> Image:
    """Hill-shaded relief under thin air: snow above a ragged line, the darkened clear ground below it.

    Sunlit slopes are as white as cloud or whiter, the more so the less air is above them, and those in shadow blue:
    only the relief tells what they are.
    """
    size = ground.shape[1]
    height = fractal(size, rng.uniform(3.0, 3.8), rng, stretch=rng.uniform(1, 2.5))
    down, right = np.gradient(height)
    sun = rng.uniform(0, 2 * np.pi)
    slope = np.cos(sun) * right + np.sin(sun) * down
    light = np.clip(1 + rng.uniform(0.3, 0.7) * slope / (slope.std() + 1e-6), 0.12, 1.5)
    line = height + 0.35 * fractal(size, 2.0, rng) - rng.uniform(-1.2, 1.2)
    cover = np.clip(line * rng.uniform(3, 15), 0, 1)
    snow = np.array(FALLEN[rng.integers(len(FALLEN))])[:, None, None] * np.exp(rng.normal(0, 0.1))
    rock = np.minimum(ground, 0.25) * rng.uniform(0.5, 1.2)
    image = _through_air(snow * cover + rock * (1 - cover), light, rng)
    return np.clip(image, 0.01, 1.3).astype(np.float32)


def _through_air(surface: Image, light: Image, rng: np.random.Generator) -> Image:
    """Top-of-atmosphere reflectance of a surface in the mountains, in single scattering.

    Args:
        surface: reflectance (4, n, n) of the ground.
        light: direct light (n, n) by that of level ground.
        rng: draws the sun's height and the air above.
    """
    cosine, pressure = np.cos(np.deg2rad(rng.uniform(30, 65))), rng.uniform(0.5, 1.0)
    depth, ozone = (np.array(values)[:, None, None] for values in (RAYLEIGH, OZONE))
    depth = depth * pressure
    # Half of what is scattered goes on downwards, as light of the sky, and half goes back.
    through = np.exp(-0.5 * depth * (1 / cosine + 1))
    sky, path = 0.5 * depth / cosine, 0.25 * depth / cosine
    seen: Image = (surface * (light * through + sky) + path) * np.exp(-ozone * (1 / cosine + 1))
    return seen


def wooded_snow(ground: Image, rng: np.random.Generator) -> Image:
    """Snow under trees: grey at a distance, whiter where the ground below is bright: roads, rivers and clearings."""
    size = ground.shape[1]
    snow = np.array(SPECTRA[SNOW[rng.integers(len(SNOW))]]) * np.exp(rng.normal(0, 0.1))
    trees = np.array(TREES[0]) + rng.uniform() * np.subtract(TREES[1], TREES[0])
    crowns = fractal(size, 1.2, rng)
    cover = rng.uniform(0.35, 0.9) - rng.uniform(0.15, 0.6) * _relief_of(ground)
    cover += rng.uniform(0.0, 0.2) * fractal(size, 3.0, rng) + rng.uniform(0.02, 0.08) * crowns
    cover = np.clip(cover, 0, 1)
    wood = trees[:, None, None] * np.exp(0.1 * crowns)
    image: Image = np.clip(snow[:, None, None] * (1 - cover) + wood * cover, 0.01, 1.3).astype(np.float32)
    return image


def bright_objects(ground: Image, rng: np.random.Generator) -> Image:
    """Level bright shapes with sharp outlines, such as ice, salt pans, dry lakes and roofs, on clear ground."""
    size = ground.shape[1]
    inside = (fractal(size, rng.uniform(3.5, 4.5), rng) > rng.uniform(0.5, 2.0)).astype(np.float32)
    bright = recolour(ground, rng, BRIGHT[rng.integers(len(BRIGHT))])
    return (ground * (1 - inside) + bright * inside).astype(np.float32)


def _relief_of(ground: Image) -> Image:
    """Brightness of ground, 0 in its middle and 1 from its darkest parts to its brightest."""
    grey = ground.mean(axis=0)
    low, high = np.percentile(grey, [2, 98])
    relief: Image = np.clip((grey - low) / (high - low + 1e-4), -0.2, 1.2) - 0.5
    return relief
