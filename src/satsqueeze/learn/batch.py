"""The tensors of one training step."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TrainBatch(NamedTuple):
    """Patches with their labels, as a plain tuple so that Lightning can move it between devices."""

    images: Tensor
    """Float32 reflectance (N, C, h, w), 0 where invalid."""
    labels: Tensor
    """Uint8 (N, h, w), 255 = does not count."""
    soft: Tensor | None
    """Float32 (N, K, h, w) teacher probabilities, all 0 where there is no target, or (N, T, K, h, w) of teachers kept
    apart; None without a teacher. As it comes from the sampler, uint8 in 1/255."""
    step: int
    """Global number of the step that these patches belong to."""


class ClassBatch(NamedTuple):
    """Whole images with their classes."""

    images: Tensor
    """Float32 reflectance (N, C, H, W), 0 where invalid."""
    targets: Tensor
    """Float32 (N, K): share of each class in an image, 0 or 1 unless images were mixed."""
    answers: Tensor | None
    """Float32 logits of teachers (N, T, K); None without any."""
    step: int
    """Global number of the step that these images belong to."""
    maps: tuple[Tensor, ...] = ()
    """Float32 attention maps (N, h, w) of each teacher; none without any."""
