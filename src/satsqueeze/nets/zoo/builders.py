"""From a name in the zoo to a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo.net import ResizeTo
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.small_resnet import SmallResNet
from satsqueeze.nets.zoo.texture_net import TextureNet

Builder = Callable[..., nn.Module]
"""From a config, and a card's parameters by keyword."""


def _small_resnet(config: ClassifierConfig, **parameters: Any) -> nn.Module:
    return SmallResNet(config.in_channels, config.classes, dropout=config.dropout, **parameters)


def _texture(config: ClassifierConfig, **parameters: Any) -> nn.Module:
    return TextureNet(config.in_channels, config.classes, dropout=config.dropout, **parameters)


def _wide(config: ClassifierConfig, *, widths: tuple[int, ...], blocks: tuple[int, ...], **parts: Any) -> nn.Module:
    from satsqueeze.nets.zoo.wide_resnet import WideParts, WideResNet

    return WideResNet(
        config.in_channels,
        config.classes,
        widths=widths,
        blocks=blocks,
        parts=WideParts(**parts),
        dropout=config.dropout,
    )


def _scaled_wide(
    config: ClassifierConfig, *, phi: float, scaling: CompoundScaling = SCALING, **parts: Any
) -> nn.Module:
    net = _wide(config, widths=scaling.widths(phi), blocks=scaling.blocks(phi), **parts)
    side = scaling.side(config.size, phi)
    return net if side == config.size else nn.Sequential(ResizeTo(side), net)


def _of_timm(function: str) -> Builder:
    def build(config: ClassifierConfig, **parameters: Any) -> nn.Module:
        # Here, because importing timm takes seconds and our own networks do without it.
        from satsqueeze.nets.zoo import timm_nets

        net: nn.Module = getattr(timm_nets, function)(config, **parameters)
        return net

    return build


BUILDERS: dict[str, Builder] = {
    "small-resnet": _small_resnet,
    "texture": _texture,
    "wide-resnet": _wide,
    "scaled-wide-resnet": _scaled_wide,
    "timm": _of_timm("timm_net"),
    "vgg": _of_timm("vgg"),
    "efficientnet": _of_timm("efficientnet"),
    "vision-transformer": _of_timm("vision_transformer"),
    "mlp-mixer": _of_timm("mlp_mixer"),
}
