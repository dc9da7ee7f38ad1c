"""The frame around every network of the zoo: what it refuses, and how images are brought to its size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satsqueeze.core.errors import GridError
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.input_check import check_input
from satsqueeze.nets.zoo.card import ZooCard


class ZooNet(nn.Module):
    """A network that refuses what it cannot take before a layer fails on it.

    Args:
        card: its place in the zoo.
        config: what `body` was built from.
        body: images (N, C, H, W) to logits (N, K).
    """

    def __init__(self, card: ZooCard, config: ClassifierConfig, body: nn.Module) -> None:
        super().__init__()
        self.card = card
        self.config = config
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K).

        Raises:
            BandError: C is not the configured number of channels.
            GridError: a size that the network cannot take.
        """
        if not torch.compiler.is_compiling():
            self._check(x)
        logits: Tensor = self.body(x)
        return logits

    def _check(self, x: Tensor) -> None:
        check_input(x, in_channels=self.config.in_channels, multiple=1)
        height, width = x.shape[2:]
        self.card.check_size(height, width)
        if self.card.fixed and height != self.config.size:
            raise GridError(
                f"this {self.card.name} was built for {self.config.size} x {self.config.size} px, got {height} x "
                f"{width}; resample the images, or build it for their size: it can be built for {self.card.sizes()}"
            )


class PadTo(nn.Module):
    """Reflect images at their borders until they have `side` x `side` pixels.

    Args:
        side: pixels, less than three times the images' own side.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, side, side), the image in the middle."""
        down, across = self.side - x.shape[2], self.side - x.shape[3]
        borders = (across // 2, across - across // 2, down // 2, down - down // 2)
        return F.pad(x, borders, mode="reflect") if any(borders) else x


class ResizeTo(nn.Module):
    """Resample images bilinearly to `side` x `side` pixels.

    Args:
        side: pixels. Images more than twice as large lose detail by aliasing.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, side, side)."""
        if x.shape[2] == self.side and x.shape[3] == self.side:
            return x
        return F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
