"""The tensors of one training step on series, and what cuts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from satsqueeze.data.sampling.series_sampler import SeriesSampler


class SeriesBatch(NamedTuple):
    """Patches at several dates with one label, as a plain tuple so that Lightning can move it between devices."""

    images: Tensor
    """Float32 reflectance (N, T, C, h, w), 0 where invalid or where a series has fewer dates."""
    days: Tensor
    """Float32 (N, T), day of the year of each date; 0 where a series has fewer."""
    labels: Tensor
    """Uint8 (N, h, w), 255 = does not count."""
    step: int
    """Global number of the step that these patches belong to."""


def series_patches(sampler: SeriesSampler, channels: list[int] | None = None) -> Callable[[int], SeriesBatch]:
    """What cuts a sampler's patches as tensors.

    Args:
        sampler: cuts patches.
        channels: which bands to take and in which order; None = all as they are.
    """

    def cut(step: int) -> SeriesBatch:
        batch = sampler.batch(step)
        images = batch.images if channels is None else batch.images[:, :, channels]
        return SeriesBatch(
            images=torch.from_numpy(np.ascontiguousarray(images)),
            days=torch.from_numpy(batch.days),
            labels=torch.from_numpy(batch.labels),
            step=step,
        )

    return cut
