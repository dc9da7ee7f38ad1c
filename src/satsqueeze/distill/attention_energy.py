"""How much a network's features react at each place."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def energy(features: Tensor) -> Tensor:
    """Sum of squares over channels: float (N, C, H, W) -> float32 (N, H, W)."""
    return features.float().square().sum(dim=1)


def unit_map(energies: Tensor, cells: int) -> Tensor:
    """Means over ``cells`` x ``cells`` cells, divided by their norm: float (N, H, W) -> float32 (N, cells, cells)."""
    pooled = functional.adaptive_avg_pool2d(energies.float()[:, None], cells)
    return functional.normalize(pooled.flatten(1), dim=1).reshape(len(energies), cells, cells)
