"""Wide residual networks with channel attention of Papoutsis et al., arXiv 2111.09451."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from satsqueeze.nets.zoo.attention import AttentionKind, ghost_conv, make_attention

STEM = 16


@dataclass(frozen=True, kw_only=True)
class WideParts:
    """What stays the same from block to block."""

    attention: AttentionKind | None = None
    """Behind the second convolution of every block."""
    ghost: bool = False
    """Whether 3x3 convolutions are ghost convolutions."""

    def conv(self, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        """A 3x3 convolution."""
        if self.ghost:
            return ghost_conv(inputs, outputs, kernel=3, stride=stride)
        return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class WidenBlock(nn.Module):
    """The first block of a group: convolution, norm, ReLU, convolution, attention, beside a 1x1 projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, parts: WideParts) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            parts.conv(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            parts.conv(outputs, outputs),
            make_attention(parts.attention, outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.branch(x) + self.shortcut(x)
        return result


class WideBlock(nn.Module):
    """A further block of a group: twice norm, ReLU, convolution, then attention, beside the identity."""

    def __init__(self, channels: int, parts: WideParts) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(channels),
            # Not in place: the block's input, which the first norm reads, is its shortcut too.
            nn.ReLU(),
            parts.conv(channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            parts.conv(channels, channels),
            make_attention(parts.attention, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), the same shape out."""
        result: Tensor = self.branch(x) + x
        return result


class WideResNet(nn.Module):
    """A 3x3 stem of 16 channels, three groups of blocks of which two halve the size, and the mean of the last map.

    Args:
        in_channels: bands.
        classes: logits.
        widths: channels of each group.
        blocks: of each group, at least 1.
        parts: attention and kind of convolution.
        dropout: before the linear layer.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        widths: Sequence[int],
        blocks: Sequence[int],
        parts: WideParts,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, STEM, 3, 1, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        )
        groups = zip((STEM, *widths[:-1]), widths, blocks, (1, 2, 2), strict=True)
        self.groups = nn.Sequential(*(_group(inputs, width, n, stride, parts) for inputs, width, n, stride in groups))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K)."""
        logits: Tensor = self.head(self.dropout(self.groups(self.stem(x)).mean(dim=(2, 3))))
        return logits


def _group(inputs: int, outputs: int, blocks: int, stride: int, parts: WideParts) -> nn.Sequential:
    return nn.Sequential(
        WidenBlock(inputs, outputs, stride, parts),
        *(WideBlock(outputs, parts) for _ in range(blocks - 1)),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
