"""Procedural clouds in blue, green, red and nir, tinted as real ones were measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.labels import IGNORE
from satsqueeze.data.compose.fractal import fractal

Image = NDArray[np.float32]

_KINDS = ("cumulus", "sheet", "cirrus", "haze")
_KIND_SHARES = (0.45, 0.2, 0.25, 0.1)
# Relative to blue: median of labelled top-of-atmosphere cloud, of surface reflectance, and of cloud under a low sun.
_TINTS = ((1.0, 0.94, 0.985, 1.05), (0.98, 1.01, 1.0, 1.07), (1.0, 0.87, 0.87, 0.84))
_TINT_SHARES = (0.65, 0.23, 0.12)
_CLEAR_TO, _CLOUD_FROM = 0.06, 0.13  # opacities
VISIBLE = 0.025
"""Change of reflectance below which a cloud is not held to be visible."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A layer of cloud."""

    opacity: Image
    """(n, n), 0 to 1."""
    colour: Image
    """(4, n, n) reflectance of opaque cloud."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """An image with its truth."""

    image: Image
    """Reflectance (4, n, n)."""
    label: NDArray[np.uint8]
    """(n, n): 0 clear, 1 cloud, 255 where it may be called either."""


def procedural_cloud(size: int, rng: np.random.Generator) -> Cloud:
    """Cumulus, a sheet, cirrus or haze."""
    kind = _KINDS[rng.choice(len(_KINDS), p=_KIND_SHARES)]
    stretch = rng.uniform(1, 4) if kind in ("cirrus", "sheet") else 1.0
    exponent = rng.uniform(2.4, 3.4) + (1.0 if kind == "haze" else 0.0)
    field = fractal(size, exponent, rng, stretch=stretch)
    if kind == "cumulus":
        depth = np.maximum(field - rng.uniform(-0.2, 1.4), 0) * rng.uniform(1.5, 6)
    elif kind == "sheet":
        depth = np.exp(field * rng.uniform(0.02, 0.6)) * rng.uniform(0.8, 6)
    elif kind == "cirrus":
        depth = np.maximum(field - rng.uniform(-0.8, 0.8), 0) * rng.uniform(0.15, 0.6)
    else:
        depth = np.maximum(field - rng.uniform(-0.5, 0.5), 0) * rng.uniform(0.1, 0.4)
    albedo = rng.uniform(0.55, 1.1) if kind == "cumulus" else rng.uniform(0.4, 1.15)
    tint = np.array(_TINTS[rng.choice(len(_TINTS), p=_TINT_SHARES)]) * np.exp(rng.normal(0, [0.02, 0.012, 0.02, 0.05]))
    relief = 1 + rng.uniform(0, 0.1) * fractal(size, 2.8, rng) * (depth > 1.5)
    return Cloud(
        opacity=(1 - np.exp(-depth)).astype(np.float32),
        colour=(albedo * tint[:, None, None] * relief).astype(np.float32),
    )


def overcast(size: int, rng: np.random.Generator) -> Cloud:
    """A closed deck under a low sun, as bluish and as even as snow in shadow."""
    billows = fractal(size, rng.uniform(2.6, 3.6), rng, stretch=rng.uniform(1, 3))
    tint = np.array(_TINTS[2]) * np.exp(rng.normal(0, [0.02, 0.012, 0.02, 0.05]))
    albedo = rng.uniform(0.3, 0.9) * np.exp(rng.uniform(0.02, 0.12) * billows)
    return Cloud(
        opacity=(1 - np.exp(-4 - rng.uniform(0, 1) * billows)).clip(0, 1).astype(np.float32),
        colour=(tint[:, None, None] * albedo).astype(np.float32),
    )


def paste(ground: Image, cloud: Cloud, rng: np.random.Generator) -> Labelled:
    """Blend a cloud, in half the cases with its shadow, onto clear ground.

    A pixel is cloud where the opacity is high and clear where it is low; between the two, and where cloud changes
    nothing visible, it is ignored.

    Args:
        ground: clear reflectance (4, n, n).
        cloud: of the same size.
        rng: source of all randomness.
    """
    opacity = cloud.opacity
    lit = _shaded(ground, opacity, rng) if rng.random() < 0.5 else ground
    image = np.clip(lit * (1 - opacity) + cloud.colour * opacity, 0, 1.5).astype(np.float32)
    label = (opacity >= _CLOUD_FROM).astype(np.uint8)
    invisible = (label == 1) & (np.abs(image - ground).max(axis=0) < VISIBLE)
    label[((opacity > _CLEAR_TO) & (opacity < _CLOUD_FROM)) | invisible] = IGNORE
    return Labelled(image=image, label=label)


def _shaded(ground: Image, opacity: Image, rng: np.random.Generator) -> Image:
    distance, angle, strength = rng.integers(6, 40), rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7)
    shift = (int(distance * np.sin(angle)), int(distance * np.cos(angle)))
    shadow = np.clip(np.roll(opacity, shift, axis=(0, 1)) * 1.2, 0, 1)
    darkened: Image = (ground * (1 - strength * shadow)).astype(np.float32)
    return darkened
