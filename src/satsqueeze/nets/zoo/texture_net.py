"""Our classifier for ten thousand parameters: few weights, many looks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

SMALLEST_VARIANCE = 1e-5


class Separable(nn.Module):
    """Depthwise and pointwise convolution, each with batch normalisation, beside an identity where sizes agree.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the depthwise convolution.
        kernel: odd side of the depthwise convolution in pixels.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False), nn.BatchNorm2d(inputs)
        )
        self.pointwise = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU(inplace=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        changed = self.pointwise(self.depthwise(x))
        result: Tensor = self.relu(changed + x if self.residual else changed)
        return result


class TextureNet(nn.Module):
    """Decides by the mean and the spread of every channel at every scale, and asks eight views of the image.

    Land use is told by colour and texture more than by place: means and standard deviations of early, fine channels say
    what a deeper network would have to carry upwards, and cost ten weights each. Depthwise-separable convolutions give
    the widest channels for the fewest weights. In evaluation the logits are the mean over the image's flips and quarter
    turns, which costs multiplications but no weight; training sees one view at a time.

    Args:
        in_channels: bands.
        classes: logits.
        widths: channels of every scale, each half as fine as the one before; the first at full resolution.
        kernel: odd side of depthwise convolutions in pixels.
        views: whether evaluation takes the mean over views.
        dropout: before the linear layer.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        widths: Sequence[int],
        kernel: int = 3,
        views: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.scales = nn.ModuleList(
            nn.Sequential(
                Separable(before, width, stride=2, kernel=kernel), Separable(width, width, stride=1, kernel=kernel)
            )
            for before, width in pairwise(widths)
        )
        self.views = views
        features = 2 * sum(widths)
        self.head = nn.Sequential(nn.BatchNorm1d(features), nn.Dropout(dropout), nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K)."""
        if self.training or not self.views:
            return self._logits(x)
        square = x.shape[-2] == x.shape[-1]
        seen = (*_flips(x), *(_flips(x.transpose(-2, -1)) if square else ()))
        every = self._logits(torch.cat(seen))
        return every.reshape(len(seen), -1, every.shape[1]).mean(dim=0)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        found = [statistics(x)]
        for scale in self.scales:
            x = scale(x)
            found.append(statistics(x))
        logits: Tensor = self.head(torch.cat(found, dim=1))
        return logits


def statistics(x: Tensor) -> Tensor:
    """Mean and standard deviation over the image: (N, C, H, W) -> (N, 2C)."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    spread = ((x - mean).square().mean(dim=(2, 3)) + SMALLEST_VARIANCE).sqrt()
    return torch.cat([mean.flatten(1), spread], dim=1)


def _flips(x: Tensor) -> tuple[Tensor, ...]:
    return x, x.flip(-1), x.flip(-2), x.flip((-2, -1))
