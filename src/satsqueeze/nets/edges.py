"""Where bands enter a network and where classes leave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from satsqueeze.nets.card import FAMILIES, ModelCard, NetConfig
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.input_check import next_multiple

PREFIX = "net."
"""Of a network's tensors in the state of its model."""
_SIDE = 64
"""Pixels of the image that is traced where the network does not state its own."""


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Names as in the state dict of a :class:`satsqueeze.nets.model.SegmentationModel`."""

    bands: Mapping[str, int]
    """Tensors whose shape depends on the number of bands, with the axis of the bands."""
    classes: Mapping[str, int]
    """Tensors whose shape depends on the number of classes, with the axis of the classes."""
    norms: Mapping[str, str]
    """First layer -> the batch norm that reads nothing but its output."""


def edges_of(card: ModelCard) -> Edges:
    """The edges of a card's network, found by building it without weights.

    Raises:
        SettingsError, GridError: the network cannot be built.
    """
    config = card.config
    net = weightless(card.family, config)
    bands = _changed(net, weightless(card.family, replace(config, in_channels=config.in_channels + 1)))
    classes = _changed(net, weightless(card.family, replace(config, classes=config.classes + 1)))
    first = {name.rpartition(".")[0] for name in bands}
    norms = norms_behind(net, first, config)
    return Edges(
        bands={PREFIX + name: axis for name, axis in bands.items()},
        classes={PREFIX + name: axis for name, axis in classes.items()},
        norms={PREFIX + layer: PREFIX + norm for layer, norm in norms.items()},
    )


def weightless(family: str, config: NetConfig) -> nn.Module:
    """The network of a config without memory for its weights, in evaluation mode."""
    with torch.device("meta"):
        return FAMILIES[family].build(config).eval()


def _image(config: NetConfig) -> Tensor:
    multiple = config.size_multiple
    # Instance norms refuse a bottleneck of one cell.
    side = config.size if isinstance(config, ClassifierConfig) else next_multiple(max(_SIDE, 2 * multiple), multiple)
    return torch.empty(1, config.in_channels, side, side, device="meta")


def _changed(net: nn.Module, other: nn.Module) -> dict[str, int]:
    """Tensors of two networks that differ in one axis."""
    shapes = {name: tensor.shape for name, tensor in other.state_dict().items()}
    found = {}
    for name, tensor in net.state_dict().items():
        pairs = enumerate(zip(tensor.shape, shapes.get(name, tensor.shape), strict=True))
        axes = [axis for axis, (size, changed) in pairs if size != changed]
        if len(axes) == 1:
            found[name] = axes[0]
    return found


def norms_behind(net: nn.Module, layers: set[str], config: NetConfig) -> dict[str, str]:
    """Layer -> the batch norm that reads nothing but its output, by their names in the network.

    Args:
        net: without weights; see :func:`weightless`.
        layers: names of modules.
        config: of the network.
    """
    outputs: dict[str, object] = {}
    found: dict[str, str] = {}
    hooks = []
    for name, module in net.named_modules():
        if name in layers:

            def keep(_: nn.Module, __: object, output: object, name: str = name) -> None:
                outputs[name] = output

            hooks.append(module.register_forward_hook(keep))
        elif isinstance(module, nn.BatchNorm2d):

            def look(_: nn.Module, inputs: tuple[object, ...], name: str = name) -> None:
                found.update({layer: name for layer, output in outputs.items() if inputs[0] is output})

            hooks.append(module.register_forward_pre_hook(look))
    with torch.no_grad():
        net(_image(config))
    for hook in hooks:
        hook.remove()
    return found
