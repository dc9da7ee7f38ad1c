"""Compound scaling: one number from which depth, width and resolution of a wide residual network follow.

Tan and Le (EfficientNet, arXiv 1905.11946) scale depth by alpha^phi, width by beta^phi and resolution by gamma^phi, so
that the cost grows by (alpha * beta^2 * gamma^2)^phi. Papoutsis et al. (arXiv 2111.09451) apply this to wide residual
networks, but round the depth so that a group of one block is followed by one of three. Here blocks are added one by
one, and every rounding keeps the order: a larger phi never gives a smaller network in any respect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from satsqueeze.core.errors import SettingsError

BASE_WIDTHS = (32, 64, 128)
BASE_BLOCKS = 3
"""Of all groups together."""
_WIDTH_STEP = 4
_SIDE_STEP = 4
_ORDER = (1, 0, 2)


@dataclass(frozen=True, kw_only=True)
class CompoundScaling:
    """By what each step of phi multiplies a network's three measures.

    Raises:
        SettingsError: a factor below 1.
    """

    depth: float
    """alpha: number of blocks."""
    width: float
    """beta: channels."""
    resolution: float
    """gamma: side of the image that the network works on."""

    def __post_init__(self) -> None:
        if not min(self.depth, self.width, self.resolution) >= 1:
            raise SettingsError(f"every factor of a compound scaling must be at least 1, got {self}")

    @property
    def cost(self) -> float:
        """By what one step multiplies the multiply-accumulates, but for rounding."""
        return self.depth * self.width**2 * self.resolution**2

    def at_cost(self, cost: float) -> CompoundScaling:
        """The same rule in steps of another cost: more or fewer of them lead to the same networks.

        Args:
            cost: of the new step, at least 1.

        Raises:
            SettingsError: a cost below 1, or a rule that changes nothing.
        """
        if not cost >= 1 or self.cost == 1:
            raise SettingsError(f"steps need a cost of at least 1 and a rule that costs more than nothing; got {cost}")
        share = math.log(cost) / math.log(self.cost)
        return CompoundScaling(depth=self.depth**share, width=self.width**share, resolution=self.resolution**share)

    def blocks(self, phi: float) -> tuple[int, int, int]:
        """Blocks of the three groups: spread evenly, one more in the middle one, then in the first.

        A block computes as much in every group, since the width doubles where the side halves, but in the last one it
        has the most parameters.
        """
        each, more = divmod(_nearest(BASE_BLOCKS * self.depth**phi), len(BASE_WIDTHS))
        counts = [each] * len(BASE_WIDTHS)
        for group in _ORDER[:more]:
            counts[group] += 1
        return counts[0], counts[1], counts[2]

    def widths(self, phi: float) -> tuple[int, int, int]:
        """Channels of the three groups, in multiples of 4."""
        first, second, third = (_WIDTH_STEP * _nearest(base * self.width**phi / _WIDTH_STEP) for base in BASE_WIDTHS)
        return first, second, third

    def side(self, size: int, phi: float) -> int:
        """Side in pixels at which the network works on images of `size` x `size`: `size`, or a larger multiple of 4."""
        return max(size, _SIDE_STEP * _nearest(size * self.resolution**phi / _SIDE_STEP))


SCALING = CompoundScaling(depth=1.0, width=1.227, resolution=1.0)
"""From B0 to B7, by two searches (docs/results/eurosat-scaling*.jsonl): on tiles of 64 px, width alone does best.
Each step costs 1.5 times the one before, where EfficientNet's cost double: at B7 17 times B0 instead of 128, so that
all of them can be trained under one budget. ``satsqueeze zoo scale`` searches on other images."""


def _nearest(value: float) -> int:
    # Not round(), which sends halves to even numbers and so is no monotone step.
    return int(value + 0.5)
