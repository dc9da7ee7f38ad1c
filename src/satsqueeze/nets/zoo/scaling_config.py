"""Scaled wide residual networks that have no name in the zoo: what a search for the rule tries out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo.scaling import CompoundScaling

SCALED_FAMILY = "scaled-wide-resnet"
BASE_MODEL = "wrn-eca-b0"


@dataclass(frozen=True, kw_only=True)
class ScaledConfig(ClassifierConfig):
    """`wrn-eca-b0` with depth, width and resolution by any rule."""

    model: str = BASE_MODEL
    """What is scaled."""
    scaling: CompoundScaling
    phi: float = 1.0
    """Steps of the rule, at least 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.phi < math.inf:
            raise SettingsError(f"phi must be finite and >= 0, got {self.phi}")

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ScaledConfig:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys, or values that cannot be.
        """
        try:
            return cls(**{**record, "scaling": CompoundScaling(**record["scaling"])})
        except (KeyError, TypeError) as error:
            raise SettingsError(f"not a config of a scaled network: {error}") from error


def build_scaled(config: ScaledConfig) -> nn.Module:
    """The network, normalised images (N, C, H, W) to logits (N, K), with freshly drawn weights.

    Raises:
        GridError: a size that the network cannot take.
    """
    # Here, since the zoo's table is made of builders.
    from satsqueeze.nets.zoo import ZooNet, zoo_card
    from satsqueeze.nets.zoo.builders import BUILDERS

    card = zoo_card(BASE_MODEL)
    card.check_size(config.size, config.size)
    parts: dict[str, Any] = {**card.parameters, "phi": config.phi, "scaling": config.scaling}
    return ZooNet(card, config, BUILDERS[card.builder](config, **parts))
