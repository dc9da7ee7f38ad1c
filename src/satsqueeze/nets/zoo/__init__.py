"""The zoo: classifiers by name, for any number of bands and classes."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo.builders import BUILDERS
from satsqueeze.nets.zoo.card import ZooCard
from satsqueeze.nets.zoo.net import ZooNet
from satsqueeze.nets.zoo.table import ZOO

__all__ = ["ZOO", "ZooCard", "ZooNet", "build_classifier", "zoo_card"]


def zoo_card(name: str) -> ZooCard:
    """The card called `name`.

    Raises:
        SettingsError: there is none; the message lists the closest names.
    """
    if name not in ZOO:
        raise SettingsError(f"unknown network {name!r}; {meant(name, ZOO)}`satsqueeze zoo list` shows all {len(ZOO)}")
    return ZOO[name]


def build_classifier(config: ClassifierConfig) -> ZooNet:
    """The network, normalised images (N, C, H, W) to logits (N, K), weights drawn from torch's global generator.

    Raises:
        SettingsError: an unknown name.
        GridError: a size for which the network cannot be built.
    """
    card = zoo_card(config.model)
    card.check_size(config.size, config.size)
    return ZooNet(card, config, BUILDERS[card.builder](config, **card.parameters))
