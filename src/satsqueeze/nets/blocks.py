"""The building blocks that every network here shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from satsqueeze.nets.unet_config import ActivationKind, NormKind, Pair, UpsampleKind

SLOPE = 0.01
"""Negative slope of LeakyReLU, as in nnU-Net."""
EPSILON = 1e-5
"""Added to the variance by either norm."""


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """What stays the same from block to block of one network."""

    norm: NormKind
    activation: ActivationKind
    separable: bool = False

    def make_norm(self, channels: int) -> nn.Module:
        """A norm layer with scale and shift."""
        if self.norm == "instance":
            return nn.InstanceNorm2d(channels, eps=EPSILON, affine=True)
        return nn.BatchNorm2d(channels, eps=EPSILON)

    def make_activation(self) -> nn.Module:
        """A non-linearity that overwrites its input."""
        if self.activation == "leaky":
            return nn.LeakyReLU(SLOPE, inplace=True)
        return nn.ReLU(inplace=True)


class ConvUnit(nn.Sequential):
    """Convolution, norm, activation; keeps the size but for its stride.

    Args:
        inputs: channels in.
        outputs: channels out.
        flavour: norm, activation, and whether the convolution is depthwise-separable.
        kernel: odd (y, x).
        stride: (y, x).
        active: False leaves the activation out.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        flavour: Flavour,
        *,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        active: bool = True,
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        if flavour.separable:
            layers: list[nn.Module] = [
                nn.Conv2d(inputs, inputs, kernel, stride=stride, padding=padding, groups=inputs, bias=False),
                nn.Conv2d(inputs, outputs, 1),
            ]
        else:
            layers = [nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)]
        layers.append(flavour.make_norm(outputs))
        if active:
            layers.append(flavour.make_activation())
        super().__init__(*layers)


def stack(count: int, make: Callable[[bool], nn.Module]) -> list[nn.Module]:
    """`count` modules from `make(is_first)`."""
    return [make(i == 0) for i in range(count)]


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut that average-pools and projects (nnU-Net's ``BasicBlockD``).

    The average pooling before the 1x1 projection keeps what a strided 1x1 convolution would drop: He et al., "Bag of
    Tricks for Image Classification with Convolutional Neural Networks", CVPR 2019, ResNet-D.
    """

    def __init__(self, inputs: int, outputs: int, flavour: Flavour, *, kernel: Pair, stride: Pair) -> None:
        super().__init__()
        self.first = ConvUnit(inputs, outputs, flavour, kernel=kernel, stride=stride)
        self.second = ConvUnit(outputs, outputs, flavour, kernel=kernel, active=False)
        shortcut: list[nn.Module] = []
        if stride != (1, 1):
            shortcut.append(nn.AvgPool2d(stride, stride))
        if inputs != outputs:
            shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False), flavour.make_norm(outputs)]
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = flavour.make_activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.activation(self.second(self.first(x)) + self.shortcut(x))
        return result

    def start_as_shortcut(self) -> None:
        """Silence the convolutions' branch, so that a deep encoder starts as a shallow one."""
        for parameter in self.second[-1].parameters():
            nn.init.zeros_(parameter)


class Upsample(nn.Sequential):
    """(N, inputs, H, W) -> (N, outputs, H * stride, W * stride).

    ``nearest`` repeats the result of a 1x1 convolution: no overlap either, but int8 engines have a kernel for it.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: Pair, kind: UpsampleKind) -> None:
        if kind == "transposed":
            super().__init__(nn.ConvTranspose2d(inputs, outputs, stride, stride=stride))
        else:
            factor = (float(stride[0]), float(stride[1]))
            super().__init__(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=factor, mode="nearest"))


def initialise(module: nn.Module) -> None:
    """Kaiming-normal weights for LeakyReLU(0.01), zero biases, neutral norms, silent residual branches (nnU-Net)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in module.modules():
        if isinstance(layer, ResidualBlock):
            layer.start_as_shortcut()
