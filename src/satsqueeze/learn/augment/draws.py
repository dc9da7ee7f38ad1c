"""Random draws that depend on nothing but a seed and a step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def step_seed(seed: int, step: int) -> int:
    """A 63-bit seed of its own for every (seed, step)."""
    low, high = np.random.SeedSequence((seed, step)).generate_state(2, np.uint32)
    return int(low) | (int(high) >> 1) << 32


class Draws:
    """Draws of one step, always made on the CPU, so that every device sees the same.

    Args:
        seed: non-negative.
        step: global number of the training step.
    """

    def __init__(self, seed: int, step: int) -> None:
        self._generator = torch.Generator().manual_seed(step_seed(seed, step))

    def chosen(self, probability: float, *shape: int) -> Tensor:
        """Boolean tensor, each entry True with ``probability``."""
        return torch.rand(shape, generator=self._generator) < probability

    def indices(self, probability: float, count: int) -> Tensor:
        """Indices in [0, count), each kept with ``probability``."""
        return self.chosen(probability, count).nonzero().flatten()

    def others(self, chosen: Tensor, count: int) -> Tensor:
        """For every index in ``chosen``, another one in [0, count); itself only where there is no other."""
        steps = torch.randint(1, max(count, 2), (len(chosen),), generator=self._generator)
        return (chosen + steps) % count

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Float32 uniform in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self._generator)

    def factor(self, low: float, high: float, *shape: int) -> Tensor:
        """Float32 factors, below 1 as often as above where the range holds 1, as nnU-Net draws them."""
        if not low < 1 < high:
            return self.uniform(low, high, *shape)
        return torch.where(self.chosen(0.5, *shape), self.uniform(low, 1, *shape), self.uniform(1, high, *shape))

    def normal(self, *shape: int) -> Tensor:
        """Float32 standard normal."""
        return torch.randn(shape, generator=self._generator)
