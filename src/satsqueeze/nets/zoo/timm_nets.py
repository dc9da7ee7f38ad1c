"""Networks of timm (Wightman, Apache-2.0), untrained, and those of them that the BigEarthNet benchmark changes."""

from __future__ import annotations

from typing import Any

import timm
from timm.models._efficientnet_builder import efficientnet_init_weights
from timm.models.mlp_mixer import MlpMixer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.input_check import next_multiple
from satsqueeze.nets.zoo.attention import AttentionKind, ghost_conv, make_attention
from satsqueeze.nets.zoo.net import PadTo


def timm_net(config: ClassifierConfig, *, model: str, sized: bool = False, **parameters: Any) -> nn.Module:
    """The network that timm calls `model`.

    Args:
        config: bands, classes, size and drop-out.
        model: name in timm.
        sized: whether it must be told the size of the images.
        parameters: passed on.
    """
    size = {"img_size": config.size} if sized else {}
    keywords: dict[str, Any] = _common(config) | size | parameters
    return timm.create_model(model, pretrained=False, **keywords)


def vgg(config: ClassifierConfig, *, model: str) -> nn.Module:
    """VGG of which the convolutions stay: the mean of the last map and one linear layer, as in the benchmark.

    Its own head of 119 million parameters asks for maps of 7 x 7 cells, which is images of 224 px.
    """
    # One hidden channel, so that the head that is thrown away costs nothing to draw.
    net: Any = timm_net(config, model=model, mlp_ratio=1 / 4096)
    pool, drop = nn.AdaptiveAvgPool2d(1), nn.Dropout(config.dropout)
    whole: nn.Module = nn.Sequential(
        net.features, pool, nn.Flatten(), drop, nn.Linear(net.num_features, config.classes)
    )
    return whole


def efficientnet(
    config: ClassifierConfig, *, model: str, attention: AttentionKind | None = None, ghost: bool = False
) -> nn.Module:
    """EfficientNet, its squeeze-and-excitation replaced by `attention`, its 1x1 convolutions by ghost convolutions."""

    def layer(channels: int, **_: object) -> nn.Module:
        return make_attention(attention, channels)

    changes: dict[str, Any] = {"se_layer": layer} if attention else {}
    net = timm_net(config, model=model, **changes)
    if ghost:
        _haunt(net)
        efficientnet_init_weights(net)
    return net


def vision_transformer(config: ClassifierConfig, *, patch: int, width: int, depth: int, heads: int) -> nn.Module:
    """A vision transformer on patches of `patch` px, whose images are reflected up to a whole number of them."""
    side = next_multiple(config.size, patch)
    net = VisionTransformer(
        img_size=side,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=2.0,
        class_token=False,
        global_pool="avg",
        **_common(config),
    )
    return nn.Sequential(PadTo(side), net)


def mlp_mixer(config: ClassifierConfig, *, patch: int, width: int, depth: int, tokens: int, channels: int) -> nn.Module:
    """An MLP-Mixer with hidden layers of `tokens` and `channels`, images reflected up to whole patches."""
    side = next_multiple(config.size, patch)
    net = MlpMixer(
        img_size=side,
        patch_size=patch,
        embed_dim=width,
        num_blocks=depth,
        mlp_ratio=(tokens / width, channels / width),
        **_common(config),
    )
    return nn.Sequential(PadTo(side), net)


def _common(config: ClassifierConfig) -> dict[str, Any]:
    return {"in_chans": config.in_channels, "num_classes": config.classes, "drop_rate": config.dropout}


def _haunt(net: nn.Module) -> None:
    """Put a ghost convolution in place of every dense 1x1 convolution that changes channels between two norms."""
    for parent in list(net.modules()):
        for name in ("conv_pw", "conv_pwl"):
            conv = getattr(parent, name, None)
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1) and conv.groups == 1:
                setattr(parent, name, ghost_conv(conv.in_channels, conv.out_channels, kernel=1))
