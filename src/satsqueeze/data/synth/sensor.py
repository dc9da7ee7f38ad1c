"""What the instrument does: blur, coarser native pixels, noise, and the edges of its swath."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.data.synth.noise import soften, stream


def swath(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Validity (H, W) of an image that lies across the slanted edge of a swath; True = valid."""
    slant = float(np.tan(np.deg2rad(rng.uniform(6, 14)))) * float(rng.choice([-1, 1]))
    rows = np.arange(height)[:, None] - height / 2
    cols = np.arange(width)[None, :] - width / 2
    if rng.uniform() < 0.5:
        position, extent = cols + slant * rows, width
    else:
        position, extent = rows + slant * cols, height
    limit = float(rng.uniform(-0.3, 0.45)) * extent
    valid: NDArray[np.bool_] = (position < limit) if rng.uniform() < 0.5 else (position > -limit)
    return valid


def expose(
    reflectance: NDArray[np.float32], bands: Sequence[str], *, seed: int, gsd: float, noise: float
) -> NDArray[np.float32]:
    """What the instrument records of a perfect image.

    Args:
        reflectance: float32 (C, H, W).
        bands: common names of the C channels.
        seed: each band draws noise of its own from it, whatever other bands there are.
        gsd: pixel size, metres; bands with coarser native pixels are averaged and repeated.
        noise: strength; 1 is a signal-to-noise ratio of about 150 at reflectance 0.1.

    Returns:
        Float32 (C, H, W).
    """
    result = soften(reflectance)
    for channel, band in enumerate(bands):
        factor = round(SENTINEL2[band].gsd_m / gsd)
        if factor > 1:
            result[channel] = _coarse(result[channel], factor)
        if noise > 0:
            rng = stream(seed, "noise", band)
            image = result[channel]
            sigma = np.float32(noise * 3e-4) + np.float32(noise * 1.2e-3) * np.sqrt(np.maximum(image, 0))
            columns = rng.normal(0, 2e-4 * noise, image.shape[1]).astype(np.float32)
            result[channel] = image + sigma * rng.standard_normal(image.shape, dtype=np.float32) + columns
    return result


def _coarse(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Mean over blocks of factor x factor pixels, repeated; an incomplete last block is averaged over what it has."""
    height, width = image.shape
    rows, cols = -(-height // factor), -(-width // factor)
    padded = np.pad(image, ((0, rows * factor - height), (0, cols * factor - width)), mode="edge")
    means = padded.reshape(rows, factor, cols, factor).mean(axis=(1, 3), dtype=np.float32)
    repeated: NDArray[np.float32] = means.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
    return repeated
