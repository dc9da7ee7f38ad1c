"""Geometric augmentation: the same for image, labels and soft targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.labels import IGNORE
from satsqueeze.learn.batch import TrainBatch

CERTAIN_HALF = 0.5
"""A resampled pixel is valid if at least half of its weight is."""


def oriented(batch: TrainBatch, *, upside_down: Tensor, sideways: Tensor, transposed: Tensor) -> TrainBatch:
    """Flip and transpose patches: together these are all quarter turns and their mirror images.

    Args:
        batch: patches, changed in place.
        upside_down: bool (N,), whether the rows are reversed.
        sideways: bool (N,), whether the columns are reversed.
        transposed: bool (N,), whether rows and columns are swapped after that; square patches only.
    """
    choices = zip(upside_down.tolist(), sideways.tolist(), transposed.tolist(), strict=True)
    for index, (reverse_rows, reverse_cols, swap) in enumerate(choices):
        axes = [axis for axis, reverse in ((-2, reverse_rows), (-1, reverse_cols)) if reverse]
        if not (axes or swap):
            continue
        for values in (batch.images, batch.labels, batch.soft):
            if values is not None:
                changed = values[index].flip(axes)
                values[index] = changed.transpose(-1, -2) if swap else changed
    return batch


def sampling_matrices(degrees: Tensor, magnification: Tensor, *, height: int, width: int) -> Tensor:
    """Matrices (M, 2, 3) for ``affine_grid`` that turn and magnify about the centre without shearing.

    Args:
        degrees: float (M,), counter-clockwise as displayed (rows grow downwards).
        magnification: float (M,); 2 shows everything twice as large.
        height: rows of the patch.
        width: columns of the patch.
    """
    angle = degrees * (math.pi / 180)
    cos, sin = torch.cos(angle) / magnification, torch.sin(angle) / magnification
    aspect = height / width
    zero = torch.zeros_like(cos)
    # Where an output pixel looks in the input; off-diagonal terms carry the aspect of normalised coordinates.
    return torch.stack(
        [torch.stack([cos, -sin * aspect, zero], dim=-1), torch.stack([sin / aspect, cos, zero], dim=-1)], dim=-2
    )


def warped(batch: TrainBatch, chosen: Tensor, matrices: Tensor) -> TrainBatch:
    """Resample the chosen patches: images and soft targets bilinearly, labels by the nearest pixel.

    What lies outside of a patch is filled by reflection. Invalid pixels (reflectance 0 in every band) carry no weight:
    where they make up more than half of a resampled pixel it becomes invalid (reflectance 0, label 255, no target).

    Args:
        batch: patches, changed in place.
        chosen: indices (M,).
        matrices: (M, 2, 3), see :func:`sampling_matrices`.
    """
    if not len(chosen):
        return batch
    chosen = chosen.to(batch.images.device)
    images, labels = batch.images[chosen], batch.labels[chosen]
    soft = None if batch.soft is None else batch.soft[chosen]
    grid = functional.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    valid = valid_pixels(images).to(images.dtype)
    planes = [images, valid] if soft is None else [images, valid, soft.flatten(1, -3) * valid]
    smooth = functional.grid_sample(
        torch.cat(planes, dim=1), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    bands = images.shape[1]
    weight = smooth[:, bands : bands + 1]
    keep = weight >= CERTAIN_HALF
    batch.images[chosen] = torch.where(keep, smooth[:, :bands] / weight.clamp(min=CERTAIN_HALF), 0.0)
    nearest = functional.grid_sample(
        labels[:, None].to(images.dtype), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    batch.labels[chosen] = torch.where(keep, nearest, IGNORE)[:, 0].to(labels.dtype)
    if batch.soft is not None:
        answers = torch.where(keep, smooth[:, bands + 1 :], 0.0)
        batch.soft[chosen] = renormalised(answers.reshape(batch.soft[chosen].shape))
    return batch


def valid_pixels(images: Tensor) -> Tensor:
    """Where reflectance (N, C, h, w) is not 0 in every band: bool (N, 1, h, w)."""
    seen = images[:, :1] != 0
    return seen if bool(seen.all()) else images.any(dim=1, keepdim=True)


def renormalised(soft: Tensor) -> Tensor:
    """Probabilities (M, ..., K, h, w) that sum to 1 over K, or to 0 where less than half of a target is there."""
    total = soft.sum(dim=-3, keepdim=True)
    return torch.where(total >= CERTAIN_HALF, soft / total.clamp(min=CERTAIN_HALF), 0.0)
