"""Prediction of whole images by overlapping windows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import GridError
from satsqueeze.core.window import Window, cover, up
from satsqueeze.learn.scoring.segmenter import Precision, Segmenter, inference

_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
_PIXELS_AT_ONCE = 2**20  # caps the memory of a forward pass


def predict_logits(
    model: Segmenter,
    image: NDArray[np.float32],
    *,
    window: int,
    overlap: float = 0.5,
    mirror: bool = False,
    gaussian: bool = True,
    precision: Precision = "fp32",
) -> NDArray[np.float32]:
    """Logits of an image of any size.

    Overlapping windows are averaged, by default with Gaussian weights (nnU-Net's sliding window). An axis shorter than
    the window is taken whole, padded with invalid pixels to the model's size multiple.

    Args:
        model: reflectance (N, C, h, w) to logits (N, K, h, w).
        image: float32 reflectance (C, H, W), 0 where invalid.
        window: side of the windows in pixels, rounded up to the model's size multiple.
        overlap: share of a window that its neighbour covers too, in [0, 1).
        mirror: average over the image and its three mirror images (test-time augmentation).
        gaussian: weight the centre of a window more than its border.
        precision: of the forward pass.

    Returns:
        float32 (K, H, W).

    Raises:
        GridError: the image is not (C, H, W), or window and overlap are out of range.
        SettingsError: an unknown precision.
    """
    if image.ndim != 3:
        raise GridError(f"an image must be (C, H, W), got the shape {image.shape}")
    multiple = model.size_multiple
    window = up(window, multiple)
    height, width = image.shape[1:]
    with inference(model, precision) as device:
        padding = [max(up(size, multiple) - size, 0) if size < window else 0 for size in (height, width)]
        padded = functional.pad(torch.from_numpy(np.ascontiguousarray(image)), (0, padding[1], 0, padding[0]))
        windows = cover(height=padded.shape[1], width=padded.shape[2], window=window, overlap=overlap)
        logits = _accumulate(model, padded.to(device), windows, mirror=mirror, gaussian=gaussian)
    return np.ascontiguousarray(logits[:, :height, :width].cpu().numpy())


def _accumulate(model: Segmenter, image: Tensor, windows: list[Window], *, mirror: bool, gaussian: bool) -> Tensor:
    size = (windows[0].height, windows[0].width)
    weight = importance(*size) if gaussian and len(windows) > 1 else torch.ones(size)
    weight = weight.to(image.device)
    total = torch.zeros(image.shape[1:], device=image.device)
    logits: Tensor | None = None
    at_once = max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))
    for start in range(0, len(windows), at_once):
        group = windows[start : start + at_once]
        batch = torch.stack([image[(slice(None), *part.slices)] for part in group])
        for part, values in zip(group, _forward(model, batch, mirror=mirror), strict=True):
            if logits is None:
                logits = torch.zeros((values.shape[0], *image.shape[1:]), device=image.device)
            logits[(slice(None), *part.slices)] += values * weight
            total[part.slices] += weight
    if logits is None:
        raise GridError("no window covers the image")
    return logits / total


def _forward(model: Segmenter, batch: Tensor, *, mirror: bool) -> Tensor:
    batch = batch.contiguous(memory_format=torch.channels_last)
    if not mirror:
        return model(batch).float()
    views = [model(batch.flip(axes)).float().flip(axes) if axes else model(batch).float() for axes in _MIRRORS]
    return torch.stack(views).mean(dim=0)


@lru_cache(maxsize=8)
def importance(height: int, width: int) -> Tensor:
    """Gaussian weights (height, width), 1 at the centre, sigma = size / 8, nowhere 0.

    Source: nnU-Net v2, ``compute_gaussian``.
    """
    rows, cols = (_bell(size) for size in (height, width))
    weights = rows[:, None] * cols[None, :]
    weights = weights / weights.max()
    return weights.clamp(min=float(weights[weights > 0].min())).to(torch.float32)


def _bell(size: int) -> Tensor:
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return torch.exp(-0.5 * (offsets / (size / 8)) ** 2)


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the first axis of logits (K, H, W)."""
    if math.prod(logits.shape) == 0:
        return logits
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True), np.float32)


def mask_of(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Class of the highest logit (K, H, W) -> uint8 (H, W); the lowest class wins ties."""
    return np.asarray(logits.argmax(axis=0), np.uint8)
