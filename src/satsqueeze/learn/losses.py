"""Dice plus cross-entropy with an ignore label, and its deep supervision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE


class Objective(Protocol):
    """What training minimises."""

    def __call__(self, logits: Tensor | list[Tensor], labels: Tensor, soft: Tensor | None) -> dict[str, Tensor]:
        """Loss of a batch.

        Args:
            logits: float (N, K, h, w), or a list of them, finest first, under deep supervision.
            labels: int64 (N, h, w), 255 = does not count.
            soft: float32 (N, K, h, w) teacher probabilities, all 0 where there is no target, or (N, T, K, h, w) of
                several teachers; None without one.

        Returns:
            Scalars by name; ``loss`` is minimised, the others are recorded in the history.
        """
        ...


def cross_entropy(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that count; 0 if none does.

    Args:
        log_probabilities: float32 (N, K, h, w).
        labels: int64 (N, h, w), 255 = does not count.
    """
    total = functional.nll_loss(log_probabilities, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def soft_dice(probabilities: Tensor, labels: Tensor, *, smooth: float = 1e-5) -> Tensor:
    """Mean soft Dice coefficient of the classes but 0, each pooled over the whole batch, in [0, 1].

    (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth), sums over the pixels that count: Milletari et al. 2016,
    pooled and smoothed as nnU-Net does (``batch_dice``, no background).

    Args:
        probabilities: float32 (N, K, h, w), K >= 2.
        labels: int64 (N, h, w), 255 = does not count.
        smooth: keeps a class absent from batch and prediction at 1.
    """
    counted = (labels != IGNORE)[:, None]
    truth = labels[:, None] == torch.arange(1, probabilities.shape[1], device=labels.device)[:, None, None]
    foreground, pooled = probabilities[:, 1:], (0, 2, 3)
    hit = (foreground * truth).sum(dim=pooled)
    total = (foreground * counted).sum(dim=pooled) + truth.sum(dim=pooled)
    return ((2 * hit + smooth) / (total + smooth)).mean()


def scale_weights(scales: int) -> tuple[float, ...]:
    """Weight of each output of deep supervision, finest first: 1/2^i, the coarsest 0, summing to 1.

    A single output has weight 1. Source: nnU-Net v2, ``_build_loss``.
    """
    if scales < 1:
        raise SettingsError(f"deep supervision needs at least one output, got {scales}")
    raw = [0.5**i for i in range(scales)]
    if scales > 1:
        raw[-1] = 0.0
    return tuple(weight / sum(raw) for weight in raw)


def labels_at(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels (N, h, w) at another size, by the nearest pixel."""
    if tuple(labels.shape[-2:]) == tuple(size):
        return labels
    resized = functional.interpolate(labels[:, None].to(torch.uint8), size=tuple(size), mode="nearest-exact")
    return resized[:, 0].to(labels.dtype)


@dataclass(frozen=True, kw_only=True)
class DiceCE:
    """cross_entropy * CE + dice * (1 - Dice), averaged over the outputs of deep supervision.

    Source: nnU-Net v2's ``DC_and_CE_loss``, whose Dice term is ``-Dice``: the same gradient, a loss of 0 at best here.
    """

    dice: float = 1.0
    """Weight of the Dice term."""
    cross_entropy: float = 1.0
    """Weight of the cross-entropy term."""
    smooth: float = 1e-5
    """Smoothing of the Dice quotient."""

    def __call__(self, logits: Tensor | list[Tensor], labels: Tensor, soft: Tensor | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Loss on labels alone; see :class:`Objective`. ``soft`` is ignored."""
        outputs = logits if isinstance(logits, list) else [logits]
        parts = [
            (weight, *self._terms(output, labels_at(labels, output.shape[-2:])))
            for weight, output in zip(scale_weights(len(outputs)), outputs, strict=True)
            if weight > 0
        ]
        entropy = torch.stack([weight * term for weight, term, _ in parts]).sum()
        dice = torch.stack([weight * term for weight, _, term in parts]).sum()
        return {"loss": self.cross_entropy * entropy + self.dice * dice, "cross_entropy": entropy, "dice": dice}

    def _terms(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        # Class by class in memory: sums over one class of interleaved logits are slow.
        planes = logits.float().contiguous()
        log_probabilities = torch.log_softmax(planes, dim=1)
        dice = soft_dice(log_probabilities.exp(), labels, smooth=self.smooth)
        return cross_entropy(log_probabilities, labels), 1 - dice
