"""Intensity augmentation of reflectance. Every function returns new values of the shape it was given."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_EPS = 1e-7
_MOSTLY = 0.5  # share of valid pixels in what a pixel is interpolated from


def blurred(planes: Tensor, invalid: Tensor | None, sigma: Tensor) -> Tensor:
    """Gaussian blur with a kernel that is cut at 4 sigma and skips invalid pixels.

    Args:
        planes: float32 (P, h, w); anything where invalid.
        invalid: bool (P, h, w); None where all pixels are valid.
        sigma: float32 (P,), pixels, > 0.
    """
    radius = min(math.ceil(4 * float(sigma.max())), min(planes.shape[-2:]) - 1)
    offsets = torch.arange(radius + 1, dtype=planes.dtype, device=planes.device)
    half = torch.exp(-0.5 * (offsets / sigma.to(planes)[:, None]) ** 2)
    half = half / (2 * half.sum(dim=1, keepdim=True) - half[:, :1])
    if invalid is None:
        return _smoothed(_smoothed(planes, half, axis=1), half, axis=2)
    planes, weight = planes.masked_fill(invalid, 0.0), (~invalid).to(planes.dtype)
    smooth, weight = (_smoothed(_smoothed(values, half, axis=1), half, axis=2) for values in (planes, weight))
    return smooth / weight.clamp(min=_EPS)


def _smoothed(planes: Tensor, half: Tensor, *, axis: int) -> Tensor:
    """Convolved along one axis with symmetric kernels, of which `half` (P, radius + 1) is the middle and one side.

    Shifted sums: a grouped convolution of few planes takes five times as long.
    """
    radius, length = half.shape[1] - 1, planes.shape[axis]
    sides = (0, 0, radius, radius) if axis == 1 else (radius, radius, 0, 0)
    padded = functional.pad(planes[None], sides, mode="reflect")[0]
    total = planes * half[:, 0, None, None]
    for offset in range(1, radius + 1):
        pair = padded.narrow(axis, radius - offset, length) + padded.narrow(axis, radius + offset, length)
        total.addcmul_(pair, half[:, offset, None, None].expand_as(pair))
    return total


def coarsened(planes: Tensor, invalid: Tensor | None, scale: float) -> Tensor:
    """Simulate a coarser sensor: nearest pixel down to ``scale``, bicubic back, invalid pixels without a part in it.

    Pixels that would be made mostly from invalid ones stay as they are.

    Args:
        planes: float32 (P, h, w); anything where invalid.
        invalid: bool (1, h, w); None where all pixels are valid.
        scale: in (0, 1]; 0.5 doubles the ground sample distance.
    """
    if invalid is None:
        return _coarse(planes, scale)
    weight = _coarse((~invalid).to(planes.dtype), scale)
    smooth = _coarse(planes.masked_fill(invalid, 0.0), scale) / weight.clamp(min=_MOSTLY)
    return torch.where(weight >= _MOSTLY, smooth, planes)


def _coarse(planes: Tensor, scale: float) -> Tensor:
    height, width = planes.shape[-2:]
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    coarse = functional.interpolate(planes[:, None], size=size, mode="nearest-exact")
    return functional.interpolate(coarse, size=[height, width], mode="bicubic", align_corners=False)[:, 0]


def contrasted(values: Tensor, invalid: Tensor | None, factor: Tensor) -> Tensor:
    """Stretch each band about its mean, clipped to the range it had.

    Args:
        values: float32 (M, C, h, w); anything where invalid.
        invalid: bool (M, 1, h, w); None where all pixels are valid.
        factor: float32 (M, C, 1, 1).
    """
    mean, _ = _moments(values, invalid)
    low, high = _range(values, invalid)
    return torch.minimum(torch.maximum((values - mean) * factor.to(values) + mean, low), high)


def gamma_corrected(values: Tensor, invalid: Tensor | None, gamma: Tensor, *, inverted: bool) -> Tensor:
    """Power law on the range of each band, with the band's mean and standard deviation restored.

    Args:
        values: float32 (M, C, h, w); anything where invalid.
        invalid: bool (M, 1, h, w); None where all pixels are valid.
        gamma: float32 (M, C, 1, 1), > 0.
        inverted: apply it to the negative image.
    """
    if inverted:
        return -gamma_corrected(-values, invalid, gamma, inverted=False)
    mean, std = _moments(values, invalid)
    low, high = _range(values, invalid)
    span = high - low
    unit = ((values - low) / span.clamp(min=_EPS)).clamp(0, 1)
    curved = unit ** gamma.to(values) * span + low
    new_mean, new_std = _moments(curved, invalid)
    return (curved - new_mean) * (std / new_std.clamp(min=_EPS)) + mean


def _moments(values: Tensor, invalid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every band, (M, C, 1, 1); those of no pixels are 0."""
    if invalid is None:
        mean = values.mean(dim=(2, 3), keepdim=True)
        return mean, (values - mean).square().mean(dim=(2, 3), keepdim=True).sqrt()
    count = (~invalid).sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = values.masked_fill(invalid, 0.0).sum(dim=(2, 3), keepdim=True) / count
    variance = (values - mean).masked_fill(invalid, 0.0).square().sum(dim=(2, 3), keepdim=True) / count
    return mean, variance.sqrt()


def _range(values: Tensor, invalid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of every band, (M, C, 1, 1)."""
    if invalid is None:
        return values.amin(dim=(2, 3), keepdim=True), values.amax(dim=(2, 3), keepdim=True)
    low = values.masked_fill(invalid, math.inf).amin(dim=(2, 3), keepdim=True)
    high = values.masked_fill(invalid, -math.inf).amax(dim=(2, 3), keepdim=True)
    return low, high
