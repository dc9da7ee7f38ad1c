"""Rules of compound scaling that cost the same, counted on the networks that come of them.

alpha * beta^2 * gamma^2 is the cost but for rounding, and a further block costs more than the first of a group, whose
input is narrower. Held to that product, deep trials would cost a fifth more than wide ones. So the width of each trial
is fitted until one step costs what was asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from functools import cache
from itertools import product

from satsqueeze.bench.scaling.settings import ScalingSettings
from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.cost import cost_of_network
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.scaling_config import ScaledConfig, build_scaled

TOLERANCE = 0.05
"""By which the counted cost of a trial may differ from the cost asked for."""
_FINE = 100
"""Widths are fitted in such parts of one."""


def trials(settings: ScalingSettings, config: ScaledConfig) -> tuple[CompoundScaling, ...]:
    """Rules to try: the shipped rule's depth and resolution at this cost first, then the grid.

    A pair is left out where no width of at least B0's keeps to the cost.

    Args:
        settings: the grid and the cost.
        config: bands, classes and size of the images; its rule is not looked at.

    Raises:
        SettingsError: none of them can keep to the cost.
    """
    shipped = SCALING.at_cost(settings.cost)
    pairs = dict.fromkeys([(shipped.depth, shipped.resolution), *product(settings.depths, settings.resolutions)])
    base = counted_macs(replace(config, phi=0.0))
    found = [_fitted(depth, resolution, settings.cost * base, config) for depth, resolution in pairs]
    kept = tuple(rule for rule in found if rule is not None)
    if not kept:
        raise SettingsError(
            f"no depth in {settings.depths} with a resolution in {settings.resolutions} costs {settings.cost} times as "
            f"much as {config.model} to within {TOLERANCE:.0%} at any width; try a higher cost, or smaller factors"
        )
    return kept


def _fitted(depth: float, resolution: float, target: float, config: ScaledConfig) -> CompoundScaling | None:
    """The rule whose width, in hundredths, comes closest to so many multiply-accumulates; None beyond the tolerance."""

    def rule(step: int) -> CompoundScaling:
        return CompoundScaling(depth=depth, width=1 + step / _FINE, resolution=resolution)

    @cache
    def macs(step: int) -> int:
        return counted_macs(replace(config, scaling=rule(step), phi=1.0))

    steps = range(int(_FINE * (target / macs(0)) ** 0.5) + 1)
    above = bisect_left(steps, target, key=macs)
    best = min((step for step in (above - 1, above) if step >= 0), key=lambda step: abs(macs(step) - target))
    return rule(best) if abs(macs(best) / target - 1) <= TOLERANCE else None


def counted_macs(config: ScaledConfig) -> int:
    """Multiply-accumulates for one image of the size that the network is for."""
    net = build_scaled(config)
    return cost_of_network(net, in_channels=config.in_channels, height=config.size, width=config.size).macs
