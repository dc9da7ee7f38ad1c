"""Seeded random fields: power-law noise on a torus, lattice hashes, small filters. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError

Field = NDArray[Any]
"""Float32 (H, W)."""


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for each named part of a scene, so that parts do not disturb one another.

    Raises:
        SettingsError: a negative seed.
    """
    if seed < 0:
        raise SettingsError(f"a seed is 0 or more, got {seed}")
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Amplitude of a random field as a function of spatial frequency k (cycles per pixel): (k^2 + 1/outer^2)^(-e/2)."""

    exponent: float
    """Amplitude falls as k^-exponent; 1.67 is about the roughness of cumulus edges, 2.5 is smooth hills."""
    outer: float
    """Outer scale in pixels: beyond it, no more variance."""
    inner: float = 0.0
    """Gaussian smoothing length in pixels; 0 keeps all detail."""
    highpass: float = 0.0
    """Structures longer than this many pixels are damped; 0 keeps them."""
    stretch: float = 1.0
    """Structures are this many times longer along ``angle`` than across."""
    angle: float = 0.0
    """Direction of the long axis, radians from the column axis."""


@lru_cache(maxsize=16)
def _amplitude(height: int, width: int, spectrum: Spectrum) -> Field:
    fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
    cos, sin = np.float32(np.cos(spectrum.angle)), np.float32(np.sin(spectrum.angle))
    along, across = fx * cos + fy * sin, fy * cos - fx * sin
    k2 = (along * spectrum.stretch) ** 2 + across**2
    amplitude = (k2 + spectrum.outer**-2) ** (-spectrum.exponent / 2)
    if spectrum.inner:
        amplitude = amplitude * np.exp(-k2 * (np.pi * spectrum.inner) ** 2)
    if spectrum.highpass:
        amplitude = amplitude * (1 - np.exp(-k2 * spectrum.highpass**2))
    amplitude[0, 0] = 0
    result: Field = (amplitude / np.sqrt((amplitude**2).sum())).astype(np.float32)
    return result


def power_noise(rng: np.random.Generator, height: int, width: int, spectrum: Spectrum) -> Field:
    """Gaussian random field with zero mean and unit variance that wraps around at the edges.

    Spectral synthesis after Saupe (in Peitgen and Saupe, The Science of Fractal Images, 1988, chapter 2).

    Returns:
        Float32 (height, width).
    """
    amplitude = _amplitude(height, width, spectrum)
    normal = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    coefficients = normal.view(np.complex64)[..., 0] * amplitude
    values: Field = np.fft.irfft2(coefficients, s=(height, width)).astype(np.float32, copy=False)
    values *= np.float32(1.0 / max(float(values.std()), 1e-30))
    return values


def smoothstep(values: Field, low: float, high: float) -> Field:
    """0 below ``low``, 1 above ``high``, cubic in between; float32, same shape."""
    t = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0, 1)
    result: Field = t * t * (np.float32(3) - np.float32(2) * t)
    return result


def soften(values: Field, passes: int = 1) -> Field:
    """Separable 1-2-1 filter, repeated; edges are repeated, the last two axes are filtered."""
    for _ in range(passes):
        for axis in (-2, -1):
            moved = np.swapaxes(values, axis, -1)
            padded = np.concatenate([moved[..., :1], moved, moved[..., -1:]], axis=-1)
            mixed = np.float32(0.25) * (padded[..., :-2] + padded[..., 2:]) + np.float32(0.5) * padded[..., 1:-1]
            values = np.swapaxes(mixed, axis, -1)
    return np.ascontiguousarray(values)


def quantile_of(values: Field, fraction: float) -> float:
    """The value that about ``fraction`` of a field lies below; large fields are read at every third pixel."""
    if fraction <= 0:
        return float(values.min()) - 1.0
    if fraction >= 1:
        return float(values.max()) + 1.0
    step = 3 if values.size > 40_000 else 1
    sample = np.sort(values[::step, ::step], axis=None)
    return float(sample[min(int(fraction * sample.size), sample.size - 1)])


def lattice_hash(i: NDArray[np.int32], j: NDArray[np.int32], salt: int) -> NDArray[np.uint32]:
    """A well-mixed 32-bit integer per lattice cell (integer hash by multiply and shift).

    Args:
        i: int32 cell rows, any shape.
        j: int32 cell columns, same shape.
        salt: separates independent hashes.
    """
    value = i.astype(np.uint32) * np.uint32(0x9E3779B1)
    value ^= j.astype(np.uint32) * np.uint32(0x85EBCA77)
    value += np.uint32((salt * 0xC2B2AE3D) & 0xFFFFFFFF)
    value ^= value >> np.uint32(15)
    value *= np.uint32(0x2C1B3C6D)
    value ^= value >> np.uint32(13)
    value *= np.uint32(0x297A2D39)
    value ^= value >> np.uint32(16)
    return value


def unit(hashed: NDArray[np.uint32]) -> Field:
    """Hashes as float32 in [0, 1)."""
    result: Field = (hashed >> np.uint32(8)).astype(np.float32) * np.float32(1.0 / (1 << 24))
    return result
