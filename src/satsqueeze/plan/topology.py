"""How often, and along which axes, a U-Net halves its input.

The rule is nnU-Net v2's, for two axes. Sizes may be half-integers on the way in: a data set's median shape is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from satsqueeze.plan.architecture import Pair

Size = tuple[float, float]
"""Two lengths along (y, x): pixels, or ground distance per pixel."""

_AXES = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Strides and kernels per stage, and the patch that they divide evenly."""

    strides: tuple[Pair, ...]
    kernel_sizes: tuple[Pair, ...]
    divisor: Pair
    """Total down-sampling (y, x) from input to bottleneck, in pixels."""
    patch_size: Pair
    """The wanted patch, each edge enlarged to a multiple of `divisor`, in pixels."""


@dataclass
class _Descent:
    """Size and spacing of the feature map while stages are being added."""

    size: list[float]
    spacing: list[float]

    def axes_to_halve(self, minimum_edge: int) -> tuple[int, ...]:
        """Axes that the next stage halves; empty when the network is deep enough."""
        long_enough = [axis for axis in _AXES if self.size[axis] >= 2 * minimum_edge]
        if not long_enough:
            return ()
        finest = min(self.spacing[axis] for axis in long_enough)
        axes = tuple(axis for axis in long_enough if self.spacing[axis] / finest < 2)
        # An axis that is halved alone must leave more behind than one that is halved with its sister.
        if len(axes) == 1 and self.size[axes[0]] < 3 * minimum_edge:
            return ()
        return axes

    def comparable_axes(self) -> tuple[bool, ...]:
        """Which axes are within a factor of two of the finest spacing, so that a 3-wide kernel makes sense."""
        finest = min(self.spacing)
        return tuple(self.spacing[axis] / finest < 2 for axis in _AXES)

    def halve(self, axes: tuple[int, ...]) -> None:
        for axis in axes:
            self.size[axis] = math.ceil(self.size[axis] / 2)
            self.spacing[axis] *= 2


def plan_topology(*, patch: Size, spacing: Size, minimum_edge: int) -> Topology:
    """Add stages for as long as an axis can be halved, finest axes first.

    Args:
        patch: wanted patch (y, x) in pixels, not necessarily whole.
        spacing: ground distance (y, x) per pixel, any unit.
        minimum_edge: shortest edge of the deepest feature map, in pixels.
    """
    descent = _Descent(size=list(patch), spacing=list(spacing))
    strides: list[Pair] = [(1, 1)]
    kernels: list[Pair] = []
    wide = [False, False]
    while axes := descent.axes_to_halve(minimum_edge):
        # Once an axis has got its 3-wide kernel it keeps it in all deeper stages.
        wide = [before or now for before, now in zip(wide, descent.comparable_axes(), strict=True)]
        kernels.append((3 if wide[0] else 1, 3 if wide[1] else 1))
        strides.append((2 if 0 in axes else 1, 2 if 1 in axes else 1))
        descent.halve(axes)
    kernels.append((3, 3))
    divisor = (math.prod(y for y, _ in strides), math.prod(x for _, x in strides))
    padded = tuple(math.ceil(edge / step) * step for edge, step in zip(patch, divisor, strict=True))
    return Topology(
        strides=tuple(strides), kernel_sizes=tuple(kernels), divisor=divisor, patch_size=(padded[0], padded[1])
    )
