"""Copy and paste: the foreground of one patch over another (Ghiasi et al. 2021, for classes instead of instances)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.labels import IGNORE
from satsqueeze.learn.augment.geometry import valid_pixels
from satsqueeze.learn.batch import TrainBatch

_SEAM = 3
"""Width in pixels over which pasted reflectance fades in, so that no hard edge gives the label away."""

_RATHER = 0.5
"""A teacher holds a pixel for foreground above this probability."""


def pasted(batch: TrainBatch, chosen: Tensor, donors: Tensor) -> TrainBatch:
    """Paste the foreground of donors over the chosen patches, with its labels and soft targets.

    A cloud so meets every ground that the batch holds: where it came from no longer tells the label. Foreground is what
    is labelled other than class 0, or, without a label, what the teacher rather holds for something else than class 0.
    Invalid pixels of either patch change nothing.

    Args:
        batch: patches, changed in place.
        chosen: indices (M,).
        donors: indices (M,) of the patches whose foreground is taken.
    """
    if not len(chosen):
        return batch
    chosen, donors = chosen.to(batch.images.device), donors.to(batch.images.device)
    images, labels = batch.images[donors], batch.labels[donors]
    both = (valid_pixels(images) & valid_pixels(batch.images[chosen]))[:, 0]
    taken = _foreground(labels, None if batch.soft is None else batch.soft[donors]) & both
    opacity = _faded(taken.to(images.dtype)) * both
    batch.images[chosen] = torch.lerp(batch.images[chosen], images, opacity[:, None])
    batch.labels[chosen] = torch.where(taken, labels, batch.labels[chosen])
    if batch.soft is not None:
        everywhere = taken.reshape(len(taken), *(1 for _ in batch.soft.shape[3:]), *taken.shape[1:])
        batch.soft[chosen] = torch.where(everywhere, batch.soft[donors], batch.soft[chosen])
    return batch


def _foreground(labels: Tensor, soft: Tensor | None) -> Tensor:
    labelled = labels != IGNORE
    found = labelled & (labels != 0)
    if soft is None:
        return found
    held = soft[..., 1:, :, :].sum(dim=-3)
    if held.ndim > labels.ndim:
        held = held.mean(dim=1)  # of several teachers
    return found | (~labelled & (held > _RATHER))


def _faded(mask: Tensor) -> Tensor:
    return functional.avg_pool2d(mask[:, None], _SEAM, stride=1, padding=_SEAM // 2, count_include_pad=False)[:, 0]
