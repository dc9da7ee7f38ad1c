"""The corruptions of :mod:`satsqueeze.data.corruptions` on batches; seed and step decide which."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satsqueeze.core.scaling import Scaling
from satsqueeze.data.corruptions import (
    AIRLIGHT,
    BLUR,
    CORRUPTIONS,
    NOISE,
    SEVERITIES,
    Corruption,
    brightness_factor,
    haze_shares,
    missing_bands,
)
from satsqueeze.learn.augment.intensity import blurred

_STREAM = 0xC0  # keeps these draws apart from those of other variations


class Corrupter:
    """Corrupts a share of the images of a batch, each in one way at one severity, all as often.

    Args:
        share: probability of an image to be corrupted.
        scaling: bands of the images, and their means, which stand in for missing bands.
        seed: of all draws.

    Raises:
        BandError: a band whose wavelength is not known.
    """

    def __init__(self, share: float, scaling: Scaling, *, seed: int) -> None:
        self._share, self._seed = share, seed
        self._fill = torch.tensor(scaling.mean, dtype=torch.float32)
        self._haze = np.stack([haze_shares(scaling.bands, severity) for severity in SEVERITIES])

    def __call__(self, images: Tensor, step: int) -> Tensor:
        """Images float32 (N, C, H, W) with some of them corrupted; pixels that are 0 in all bands stay so."""
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, step, _STREAM))))
        chosen = generator.random(len(images)) < self._share
        kinds = generator.integers(len(CORRUPTIONS), size=len(images))
        severities = generator.integers(1, len(SEVERITIES) + 1, size=len(images))
        found = images.clone()
        for number, kind in enumerate(CORRUPTIONS):
            places = np.flatnonzero(chosen & (kinds == number))
            if len(places):
                where = torch.from_numpy(places).to(images.device)
                found[where] = self.corrupted(images[where], kind, severities[places], generator)
        return found

    def corrupted(
        self, images: Tensor, kind: Corruption, severities: NDArray[np.int64], generator: np.random.Generator
    ) -> Tensor:
        """Images (n, C, H, W), each at its severity (n,); what is drawn comes from the generator."""
        valid = (images != 0).any(dim=1, keepdim=True)
        if kind == "noise":
            normal = generator.standard_normal(tuple(images.shape), np.float32)
            found = noised(images, _strengths(NOISE, severities), torch.from_numpy(normal))
        elif kind == "blur":
            found = blurred_images(images, valid, _strengths(BLUR, severities))
        elif kind == "haze":
            found = hazed(images, torch.from_numpy(self._haze[severities - 1]))
        elif kind == "brightness":
            brighter = generator.random(len(images)) < 0.5
            factors = [brightness_factor(s, brighter=up) for s, up in zip(severities, brighter.tolist(), strict=True)]
            found = brightened(images, torch.tensor(factors, dtype=torch.float32))
        else:
            count = images.shape[1]
            missing = [missing_bands(s, generator.permutation(count), generator.random()) for s in severities]
            found = without_bands(images, torch.from_numpy(np.stack(missing)), self._fill)
        return torch.where(valid, found, 0.0)


def noised(images: Tensor, sigma: Tensor, normal: Tensor) -> Tensor:
    """Images (n, C, H, W) plus sigma (n,) times standard normal fields of their shape."""
    return images + _beside(sigma, images) * normal.to(images.device)


def blurred_images(images: Tensor, valid: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of images (n, C, H, W) without invalid pixels.

    Args:
        images: 0 where invalid.
        valid: bool (n, 1, H, W).
        sigma: (n,) in pixels, > 0.
    """
    bands = images.shape[1]
    invalid = None if bool(valid.all()) else ~valid.expand_as(images).flatten(0, 1)
    return blurred(images.flatten(0, 1), invalid, sigma.repeat_interleave(bands)).view_as(images)


def hazed(images: Tensor, shares: Tensor) -> Tensor:
    """Images (n, C, H, W) of which shares (n, C) are replaced by the reflectance of deep haze."""
    beside = shares.to(images.device)[:, :, None, None]
    return (1 - beside) * images + beside * AIRLIGHT


def brightened(images: Tensor, factors: Tensor) -> Tensor:
    """Images (n, C, H, W) times factors (n,)."""
    return images * _beside(factors, images)


def without_bands(images: Tensor, missing: Tensor, fill: Tensor) -> Tensor:
    """Images (n, C, H, W) with the bands of missing, bool (n, C), filled by a constant per band (C,)."""
    return torch.where(missing.to(images.device)[:, :, None, None], fill.to(images.device)[:, None, None], images)


def _strengths(table: tuple[float, ...], severities: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.array(table, np.float32)[severities - 1])


def _beside(values: Tensor, images: Tensor) -> Tensor:
    return values.to(images.device)[:, None, None, None]
