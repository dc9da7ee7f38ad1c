"""What a network of the zoo costs, found without drawing a weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.cost import cost_of_network
from satsqueeze.nets.zoo import build_classifier, zoo_card


@dataclass(frozen=True, kw_only=True)
class ZooSummary:
    """One network at stated bands, classes and size."""

    name: str
    family: str
    in_channels: int
    """Bands."""
    classes: int
    """Logits."""
    size: int
    """Height and width in pixels of the image that `macs` and `peak_activation_bytes` are for."""
    parameters: int
    """Trainable ones."""
    macs: int
    """Multiply-accumulates of all convolutions and matrix products for one image."""
    peak_activation_bytes: int
    """Most bytes of float32 activations alive at once; see `satsqueeze.nets.cost.cost`."""


def summarise(config: ClassifierConfig) -> ZooSummary:
    """Count what the network of a config costs in evaluation, batch 1.

    Raises:
        SettingsError: an unknown name.
        GridError: a size for which the network cannot be built.
    """
    with torch.device("meta"):
        net = build_classifier(config)
    found = cost_of_network(net, in_channels=config.in_channels, height=config.size, width=config.size)
    return ZooSummary(
        name=config.model,
        family=zoo_card(config.model).family,
        in_channels=config.in_channels,
        classes=config.classes,
        size=config.size,
        parameters=found.parameters,
        macs=found.macs,
        peak_activation_bytes=found.peak_activation_bytes,
    )
