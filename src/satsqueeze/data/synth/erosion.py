"""Mountains carved by rivers: uplift against stream-power erosion on a coarse grid, then enlarged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.noise import Field, Spectrum, power_noise, quantile_of

_GRID = 88
_STEPS = 90
_UPLIFT, _STRENGTH = 0.022, 0.05
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_DISTANCE = np.array([np.hypot(*step) for step in _NEIGHBOURS], dtype=np.float32)[:, None]


@dataclass(frozen=True, kw_only=True)
class CarvedTerrain:
    """Terrain with its rivers; both wrap around at the edges."""

    heights: Field
    """Float32 (H, W), 0..1."""
    drainage: Field
    """Float32 (H, W): logarithm of the area that drains through, 0 on crests .. 1 in the largest valley."""


def carve(rng: np.random.Generator, height: int, width: int) -> CarvedTerrain:
    """Ridges, spurs and a branching river network.

    Each step lifts the ground and lowers it by area^0.5 times slope towards the steepest neighbour (stream power law:
    Howard 1994, Water Resources Research 30), with a little hill-slope diffusion. The lowest twentieth of the first
    relief stays at base level, so that every river has an end.
    """
    scale = max(height, width) / _GRID
    rows, cols = max(round(height / scale), 16), max(round(width / scale), 16)
    count = rows * cols
    index = np.arange(count, dtype=np.intp).reshape(rows, cols)
    around = np.stack([np.roll(index, (-row, -col), (0, 1)).ravel() for row, col in _NEIGHBOURS])
    first = power_noise(rng, rows, cols, Spectrum(exponent=1.9, outer=0.5 * min(rows, cols)))
    base = (first < quantile_of(first, float(rng.uniform(0.02, 0.08)))).ravel()
    hardness = rng.uniform(0.6, 1.4, count).astype(np.float32)
    heights = ((first - first.min()) * np.float32(0.05)).ravel()
    area = np.ones(count, dtype=np.float32)
    cells = np.arange(count)
    for step in range(_STEPS):
        drops = (heights[None] - heights[around]) / _DISTANCE
        way = drops.argmax(axis=0)
        steepest = np.maximum(drops[way, cells], 0)
        lower = around[way, cells]
        for _ in range(2 if step > 15 else 6):
            flow = np.bincount(lower, weights=np.where(steepest > 0, area, 0), minlength=count)
            area = 1 + flow.astype(np.float32)
        cut = np.minimum(np.float32(_STRENGTH) * np.sqrt(area) * steepest * hardness, np.float32(0.8) * steepest)
        heights = np.where(base, np.float32(0), heights + np.float32(_UPLIFT) - cut)
        if step % 10 == 9:
            heights = _diffuse(heights.reshape(rows, cols)).ravel()
    carved = enlarge(heights.reshape(rows, cols), height, width)
    drained = enlarge(_diffuse(np.log(area).reshape(rows, cols)), height, width)
    return CarvedTerrain(heights=_unit_range(carved), drainage=_unit_range(drained))


def enlarge(field: Field, height: int, width: int) -> Field:
    """A periodic field on a finer grid by Fourier interpolation, float32 (height, width)."""
    rows, cols = field.shape
    if (rows, cols) == (height, width):
        return field
    keep_rows, keep_cols = min(rows, height) // 2, min(cols, width) // 2
    coarse = np.fft.rfft2(field.astype(np.float32))
    k2 = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(cols)[None, :] ** 2
    coarse = coarse * np.exp(-((k2 / 0.45**2) ** 2))
    fine: NDArray[np.complex64] = np.zeros((height, width // 2 + 1), dtype=np.complex64)
    fine[:keep_rows, :keep_cols] = coarse[:keep_rows, :keep_cols]
    fine[-keep_rows + 1 :, :keep_cols] = coarse[-keep_rows + 1 :, :keep_cols]
    values: Field = np.fft.irfft2(fine, s=(height, width)).astype(np.float32)
    return values * np.float32(height * width / (rows * cols))


def _diffuse(field: Field) -> Field:
    around = np.roll(field, 1, 0) + np.roll(field, -1, 0) + np.roll(field, 1, 1) + np.roll(field, -1, 1)
    result: Field = field + np.float32(0.12) * (around - 4 * field)
    return result


def _unit_range(field: Field) -> Field:
    low = field.min()
    result: Field = ((field - low) * np.float32(1 / max(float(field.max() - low), 1e-9))).astype(np.float32)
    return result
