"""What befalls images between the ground and the network, in five severities: pure functions of reflectance.

Images are float32 reflectance (C, H, W), 0 where invalid, and stay so. Severities are ours: noise and haze are in units
of reflectance, of which vegetation and soil have 0.02 to 0.3 in visible light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.data.synth.atmosphere import haze_colour

Corruption = Literal["noise", "blur", "haze", "brightness", "missing-bands"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
SEVERITIES = (1, 2, 3, 4, 5)

NOISE = (0.005, 0.01, 0.02, 0.03, 0.05)
"""Standard deviation of the reflectance, by severity."""
BLUR = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Standard deviation of the kernel, in pixels."""
HAZE = (0.04, 0.08, 0.12, 0.18, 0.25)
"""Share of the light at 550 nm that comes from the haze instead of the ground."""
BRIGHTNESS = (1.1, 1.2, 1.3, 1.45, 1.6)
"""Factor; an image is as often divided as multiplied by it."""

AIRLIGHT = 0.5
"""Reflectance of haze too deep to see through."""
_ANGSTROM = 1.3  # aerosol over land


def corrupted(
    image: NDArray[np.float32],
    *,
    kind: Corruption,
    severity: int,
    bands: Sequence[str],
    fill: Sequence[float],
    seed: int,
    key: str = "",
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """An image with one thing wrong with it.

    What is drawn (pattern of the noise, brighter or darker, order in which bands fail) depends on ``kind``, ``seed``
    and ``key`` alone, so that a higher severity is more of the same.

    Args:
        image: float32 reflectance (C, H, W).
        kind: ``noise``, ``blur``, ``haze``, ``brightness`` or ``missing-bands``.
        severity: 1 to 5; 0 leaves the image as it is.
        bands: common names of the C channels.
        fill: reflectance (C,) that stands in for a missing band. An operator knows which band is dead, and the mean
            that the package's scaling states is what says nothing to the network.
        seed: of all draws, >= 0.
        key: name of the image, so that each is hit differently.
        valid: (H, W), True = valid; by default all are.

    Raises:
        SettingsError: an unknown kind or severity.
        GridError: image, bands, fill and validity that do not fit each other.
        BandError: haze over a band whose wavelength is not known.
    """
    if kind not in CORRUPTIONS or severity not in (0, *SEVERITIES):
        raise SettingsError(
            f"expected one of {', '.join(CORRUPTIONS)} at a severity of 0 to 5, got {kind!r} at {severity}"
        )
    if image.ndim != 3 or len(image) != len(bands) or len(image) != len(fill):
        raise GridError(f"expected (C, H, W), C bands and C means; got {image.shape}, {len(bands)} and {len(fill)}")
    seen = np.ones(image.shape[1:], bool) if valid is None else valid
    if seen.shape != image.shape[1:]:
        raise GridError(f"validity must be (H, W) like the image {image.shape}, got {seen.shape}")
    if severity == 0:
        return image
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *map(_hash, (kind, key))))))
    if kind == "noise":
        found = noised(image, NOISE[severity - 1], generator.standard_normal(image.shape, np.float32))
    elif kind == "blur":
        found = blurred(image, seen, BLUR[severity - 1])
    elif kind == "haze":
        found = hazed(image, haze_shares(bands, severity))
    elif kind == "brightness":
        found = brightened(image, brightness_factor(severity, brighter=bool(generator.random() < 0.5)))
    else:
        missing = missing_bands(severity, generator.permutation(len(image)), generator.random())
        found = without_bands(image, missing, np.asarray(fill, np.float32))
    return np.where(seen, found, np.float32(0))


def noised(image: NDArray[np.float32], sigma: float, normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reflectance plus ``sigma`` times a standard normal field of the same shape."""
    return image + np.float32(sigma) * normal


def blurred(image: NDArray[np.float32], valid: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur, the kernel cut at 4 sigma; mirrored about the outermost pixels, without invalid ones.

    Args:
        image: (C, H, W).
        valid: (H, W).
        sigma: in pixels, > 0.
    """
    radius = min(math.ceil(4 * sigma), min(image.shape[1:]) - 1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (weights / weights.sum()).astype(np.float32)
    smooth = _convolved(np.where(valid, image, np.float32(0)), kernel)
    if valid.all():
        return smooth
    seen: NDArray[np.float32] = np.maximum(_convolved(valid[None].astype(np.float32), kernel), np.float32(1e-7))
    found: NDArray[np.float32] = smooth / seen
    return found


def hazed(image: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reflectance of which a share (C,) is replaced by that of deep haze, after Koschmieder.

    So share * AIRLIGHT of path reflectance is added, and the contrast of the ground shrinks by the share.
    """
    beside = shares[:, None, None]
    found: NDArray[np.float32] = (1 - beside) * image + beside * np.float32(AIRLIGHT)
    return found


def haze_shares(bands: Sequence[str], severity: int) -> NDArray[np.float32]:
    """Float32 (C,): share of haze in each band, falling with wavelength as Angstrom's law has it.

    Raises:
        BandError: a band whose wavelength is not known.
    """
    try:
        colour = haze_colour(bands, angstrom=_ANGSTROM)
    except BandError as error:
        raise BandError(
            f"the haze over {', '.join(bands)} is not known: bands need the common names of Sentinel-2 (blue, green, "
            "red, nir, ...). Leave haze out, or name the bands"
        ) from error
    shares: NDArray[np.float32] = np.minimum(np.float32(HAZE[severity - 1]) * colour, np.float32(1))
    return shares


def brightened(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Reflectance times a factor: another illumination, or a gain that is off."""
    return image * np.float32(factor)


def brightness_factor(severity: int, *, brighter: bool) -> float:
    """Factor of a severity, or its inverse."""
    return BRIGHTNESS[severity - 1] if brighter else 1 / BRIGHTNESS[severity - 1]


def without_bands(
    image: NDArray[np.float32], missing: NDArray[np.bool_], fill: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The image with the bands of ``missing`` (C,) filled by a constant each (C,)."""
    return np.where(missing[:, None, None], fill[:, None, None], image)


def missing_bands(severity: int, order: NDArray[np.int64], chance: float) -> NDArray[np.bool_]:
    """Which bands are missing, bool (C,); severity / 5 * (C - 1) of them on average over ``chance``, never all.

    Args:
        severity: 1 to 5; at 5 a single band is left.
        order: permutation of the C bands, in which they fail.
        chance: in [0, 1), rounds the number of bands up or down.
    """
    count = math.floor(severity * (len(order) - 1) / len(SEVERITIES) + chance)
    missing = np.zeros(len(order), bool)
    missing[order[: min(count, len(order) - 1)]] = True
    return missing


def _convolved(planes: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    radius = len(kernel) // 2
    for axis in (1, 2):
        size = planes.shape[axis]
        around = [(radius, radius) if other == axis else (0, 0) for other in range(3)]
        padded = np.moveaxis(np.pad(planes, around, mode="reflect"), axis, 0)
        summed = sum(weight * padded[start : start + size] for start, weight in enumerate(kernel))
        planes = np.moveaxis(np.asarray(summed, np.float32), 0, axis)
    return np.ascontiguousarray(planes)


def _hash(name: str) -> int:
    return crc32(name.encode())
