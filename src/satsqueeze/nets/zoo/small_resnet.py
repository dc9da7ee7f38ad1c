"""The residual networks for on-board use of Le et al., arXiv 2411.00209."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)
CELLS = 3
"""Height and width of the map that the decision is taken from."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 3x3 convolution where the size changes.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_norm(inputs, outputs, stride)
        self.second = _conv_norm(outputs, outputs, 1)
        self.shortcut = nn.Identity() if stride == 1 else _conv_norm(inputs, outputs, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.relu(self.second(self.relu(self.first(x))) + self.shortcut(x))
        return result


class PoolToCells(nn.Module):
    """`torch.nn.AdaptiveAvgPool2d`, as an average pooling of one window size wherever its windows are of one size.

    They are if the remainder of a side by the number of cells is 0 or 1; of 16 pixels and 3 cells, windows of 6 every 5
    pixels. Engines have a kernel for that, and none for what exporters make of the general case.

    Args:
        cells: height and width of the result.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, cells, cells)."""
        sides = (int(x.shape[2]), int(x.shape[3]))
        if min(sides) < self.cells or any(side % self.cells > 1 for side in sides):
            return F.adaptive_avg_pool2d(x, self.cells)
        windows = [-(-side // self.cells) for side in sides]
        return F.avg_pool2d(x, windows, [side // self.cells for side in sides])


class SmallResNet(nn.Module):
    """A 3x3 stem of 16 channels, stages of 16, 32 and 64, average pooling to 3 x 3 cells, one linear layer.

    Args:
        in_channels: bands.
        classes: logits.
        blocks: of each stage.
        dropout: before the linear layer.
    """

    def __init__(self, in_channels: int, classes: int, *, blocks: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(in_channels, WIDTHS[0], 1), nn.ReLU(inplace=True))
        inputs = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.Sequential(
            *(_stage(before, width, count) for before, width, count in zip(inputs, WIDTHS, blocks, strict=True))
        )
        self.pool = PoolToCells(CELLS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTHS[-1] * CELLS**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K)."""
        logits: Tensor = self.head(self.dropout(self.pool(self.stages(self.stem(x))).flatten(1)))
        return logits


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, 1 if inputs == outputs else 2)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def _conv_norm(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
