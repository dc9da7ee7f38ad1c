"""Intensity augmentation of reflectance. Every function returns new values of the shape it was given."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_EPS = 1e-7


def blurred(planes: Tensor, valid: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with a kernel that is cut at 4 sigma and skips invalid pixels.

    Args:
        planes: float32 (P, h, w), 0 where invalid.
        valid: float32 (P, h, w), 1 = valid.
        sigma: float32 (P,), pixels, > 0.
    """
    radius = min(math.ceil(4 * float(sigma.max())), min(planes.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-0.5 * (offsets / sigma.to(planes)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    smooth = _convolved(planes, kernel)
    if bool(valid.all()):
        return smooth
    return smooth / _convolved(valid, kernel).clamp(min=_EPS)


def _convolved(planes: Tensor, kernel: Tensor) -> Tensor:
    count, radius = len(planes), kernel.shape[1] // 2
    padded = functional.pad(planes[None], (radius, radius, radius, radius), mode="reflect")
    rows = functional.conv2d(padded, kernel[:, None, :, None], groups=count)
    return functional.conv2d(rows, kernel[:, None, None, :], groups=count)[0]


def coarsened(plane: Tensor, scale: float) -> Tensor:
    """Simulate a coarser sensor: nearest pixel down to ``scale``, bicubic back.

    Args:
        plane: float32 (P, h, w).
        scale: in (0, 1]; 0.5 doubles the ground sample distance.
    """
    height, width = plane.shape[-2:]
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    coarse = functional.interpolate(plane[:, None], size=size, mode="nearest-exact")
    return functional.interpolate(coarse, size=[height, width], mode="bicubic", align_corners=False)[:, 0]


def contrasted(values: Tensor, valid: Tensor, factor: Tensor) -> Tensor:
    """Stretch each band about its mean, clipped to the range it had.

    Args:
        values: float32 (M, C, h, w), 0 where invalid.
        valid: bool (M, 1, h, w).
        factor: float32 (M, C, 1, 1).
    """
    mean, _ = _moments(values, valid)
    low, high = _range(values, valid)
    return torch.minimum(torch.maximum((values - mean) * factor.to(values) + mean, low), high)


def gamma_corrected(values: Tensor, valid: Tensor, gamma: Tensor, *, inverted: bool) -> Tensor:
    """Power law on the range of each band, with the band's mean and standard deviation restored.

    Args:
        values: float32 (M, C, h, w), 0 where invalid.
        valid: bool (M, 1, h, w).
        gamma: float32 (M, C, 1, 1), > 0.
        inverted: apply it to the negative image.
    """
    if inverted:
        return -gamma_corrected(-values, valid, gamma, inverted=False)
    mean, std = _moments(values, valid)
    low, high = _range(values, valid)
    span = high - low
    unit = ((values - low) / span.clamp(min=_EPS)).clamp(0, 1)
    curved = torch.where(valid, unit ** gamma.to(values) * span + low, 0.0)
    new_mean, new_std = _moments(curved, valid)
    return (curved - new_mean) * (std / new_std.clamp(min=_EPS)) + mean


def _moments(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    count = valid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = values.sum(dim=(2, 3), keepdim=True) / count
    variance = ((values - mean) * valid).square().sum(dim=(2, 3), keepdim=True) / count
    return mean, variance.sqrt()


def _range(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    low = values.masked_fill(~valid, math.inf).amin(dim=(2, 3), keepdim=True)
    high = values.masked_fill(~valid, -math.inf).amax(dim=(2, 3), keepdim=True)
    return low, high
