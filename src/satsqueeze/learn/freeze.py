"""Keeping a part of a network as it is while the rest is trained."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from torch import nn


class HeldBody:
    """Weights and norms of a network that can be held.

    A held norm works as in evaluation: it neither looks at the batch nor changes its statistics.

    Args:
        network: whose weights are held, in place.
        names: of tensors in its state dict; a norm is held where its ``running_mean`` is named.
    """

    def __init__(self, network: nn.Module, names: AbstractSet[str]) -> None:
        self._weights = [weight for name, weight in network.named_parameters() if name in names]
        self._norms = [module for name, module in network.named_modules() if f"{name}.running_mean" in names]

    def hold(self, held: bool, *, keep_statistics: bool = False) -> None:
        """Hold them, or let them go; norms are then in training mode, unless they are to keep their statistics."""
        for weight in self._weights:
            weight.requires_grad_(not held)
        for norm in self._norms:
            norm.train(not held and not keep_statistics)
