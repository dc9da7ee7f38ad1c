"""Channel attention and ghost convolutions as plug-ins, at the settings of Papoutsis et al., arXiv 2111.09451."""

from __future__ import annotations

from typing import Any, Literal

from timm.layers.create_attn import get_attn
from timm.models.ghostnet import GhostModule
from torch import nn

AttentionKind = Literal["eca", "se", "cbam", "coord"]
ATTENTIONS: tuple[AttentionKind, ...] = ("eca", "se", "cbam", "coord")


def make_attention(kind: AttentionKind | None, channels: int) -> nn.Module:
    """A layer that rescales a map (N, `channels`, H, W) by what it sees in all of it.

    ``eca`` (arXiv 1910.03151), ``se`` (1709.01507), ``cbam`` (1807.06521), ``coord`` (2103.02907); None does nothing.
    """
    if kind is None:
        return nn.Identity()
    settings: dict[AttentionKind, dict[str, int]] = {
        "eca": {},
        "se": {"rd_channels": max(1, channels // 16)},
        "cbam": {"rd_channels": max(1, channels // 16), "spatial_kernel_size": 7},
        "coord": {"rd_channels": max(8, channels // 32)},
    }
    kind_of_layer: Any = get_attn(kind)  # type: ignore[no-untyped-call]
    layer: Any = kind_of_layer(channels, **settings[kind])
    if kind == "eca":
        # With a bias as in the benchmark's released network, whose parameter count shows it.
        kernel = layer.conv.kernel_size[0]
        layer.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2)
    made: nn.Module = layer
    return made


def ghost_conv(inputs: int, outputs: int, *, kernel: int, stride: int = 1) -> nn.Module:
    """Half of the channels by a convolution, the others by a 3x3 depthwise one of those (arXiv 1911.11907).

    Each with its norm; without activation, since it stands where a plain convolution stood.
    """
    layer: nn.Module = GhostModule(inputs, outputs, kernel, stride=stride, act_layer=nn.Identity)
    return layer
