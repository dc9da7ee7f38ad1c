"""Terrain: heights, how the sun falls on them, and the shadows they cast."""

from __future__ import annotations

import numpy as np

from satsqueeze.data.synth.erosion import CarvedTerrain
from satsqueeze.data.synth.noise import Field, Spectrum, power_noise, soften
from satsqueeze.data.synth.sun import Sun

_MARCH = (1, 2, 3, 5, 7, 10, 14, 19, 25, 33, 43)


def mountain_heights(rng: np.random.Generator, carved: CarvedTerrain, *, gsd: float, amplitude_m: float) -> Field:
    """Carved terrain in metres, with crags on the slopes; float32 (H, W), minimum near 0.

    Args:
        rng: source of randomness.
        carved: ridges and valleys.
        gsd: pixel size, metres.
        amplitude_m: height of the summits; less where slopes would exceed about 45 degrees.
    """
    slope = np.hypot(*np.gradient(carved.heights, gsd))
    amplitude_m = min(amplitude_m, float(rng.uniform(0.45, 0.8)) / max(float(np.median(slope)), 1e-9))
    heights = carved.heights * np.float32(amplitude_m)
    rows, cols = heights.shape
    crags = power_noise(rng, rows, cols, Spectrum(exponent=1.9, outer=max(min(rows, cols) / 15, 4.0)))
    crags *= np.float32(0.8 * gsd) * np.clip(slope * np.float32(1.5 * amplitude_m), 0, 1)
    result: Field = heights + crags
    return result


def hill_heights(rng: np.random.Generator, height: int, width: int, *, gsd: float, amplitude_m: float) -> Field:
    """Rolling hills in metres, float32 (height, width), zero mean."""
    outer = min(float(rng.uniform(1200, 4000)) / gsd, 0.6 * min(height, width))
    field: Field = power_noise(rng, height, width, Spectrum(exponent=2.2, outer=outer)) * np.float32(amplitude_m / 4)
    return field


def dune_heights(rng: np.random.Generator, height: int, width: int, *, gsd: float) -> Field:
    """Dunes in metres: warped, asymmetric wave trains with steep lee sides. Float32 (height, width)."""
    wavelength = float(np.exp(rng.uniform(np.log(120), np.log(900)))) / gsd
    wavelength = max(wavelength, 5.0)
    angle = float(rng.uniform(0, np.pi))
    outer = min(8 * wavelength, 0.5 * min(height, width))
    warp = power_noise(rng, height, width, Spectrum(exponent=1.9, outer=outer, stretch=2.5, angle=angle + np.pi / 2))
    size = 0.6 + 0.4 * power_noise(rng, height, width, Spectrum(exponent=2.0, outer=outer))
    rows = np.arange(height, dtype=np.float32)[:, None]
    cols = np.arange(width, dtype=np.float32)[None, :]
    along = (cols * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))) / np.float32(wavelength)
    phase = along + np.float32(rng.uniform(0.5, 1.1)) * warp
    saw = phase - np.floor(phase)
    profile = np.where(saw < 0.72, saw / 0.72, (1 - saw) / 0.28).astype(np.float32)
    result: Field = soften(profile * np.clip(size, 0.1, 1.4) * np.float32(wavelength * gsd * 0.09))
    return result


def illumination(heights: Field, *, gsd: float, sun: Sun) -> Field:
    """Direct sunlight per unit ground area relative to flat ground: 1 on the flat, 0 in shadow.

    Lambert's cosine on the terrain's normal, times visibility of the sun by marching towards it.

    Args:
        heights: float32 (H, W) metres; treated as wrapping around.
        gsd: pixel size, metres.
        sun: direction of the sun.
    """
    dz_rows = (np.roll(heights, -1, 0) - np.roll(heights, 1, 0)) * np.float32(0.5 / gsd)
    dz_cols = (np.roll(heights, -1, 1) - np.roll(heights, 1, 1)) * np.float32(0.5 / gsd)
    towards = dz_rows * np.float32(sun.rows) + dz_cols * np.float32(sun.cols)
    cosine = (1 - towards * np.float32(sun.tangent)) / np.sqrt(1 + dz_rows**2 + dz_cols**2)
    light = np.clip(cosine, 0, None)
    relief_px = float(heights.max() - heights.min()) * sun.tangent / gsd
    visible = np.ones(heights.shape, dtype=np.float32)
    for step in _MARCH:
        if step > relief_px:
            break
        row, col = round(step * sun.rows), round(step * sun.cols)
        rise = np.float32(float(np.hypot(row, col)) * gsd / max(sun.tangent, 1e-6))
        visible[np.roll(heights, (-row, -col), (0, 1)) > heights + rise] = 0
    result: Field = light * (soften(visible) if relief_px > 1 else visible)
    return result
