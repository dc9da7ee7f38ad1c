"""Random fields with a power-law spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fractal(size: int, exponent: float, rng: np.random.Generator, *, stretch: float = 1.0) -> NDArray[np.float32]:
    """A field of zero mean and unit variance whose power falls as frequency^-exponent.

    Args:
        size: height and width in pixels.
        exponent: 2 is rough, 4 is smooth.
        rng: source of all randomness.
        stretch: how many times longer structures are along a random direction.

    Returns:
        Float32 (size, size).
    """
    rows, cols = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * cols + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * cols
    frequency = np.sqrt(along**2 + (stretch * across) ** 2)
    frequency[0, 0] = np.inf
    noise = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    field = np.fft.irfft2(noise * frequency ** (-exponent / 2), s=(size, size))
    scaled: NDArray[np.float32] = ((field - field.mean()) / field.std()).astype(np.float32)
    return scaled
