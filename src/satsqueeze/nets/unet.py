"""One parametric U-Net for the 46-million-parameter teacher and the 8-thousand-parameter student."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import GridError
from satsqueeze.nets.blocks import ConvUnit, Flavour, ResidualBlock, Upsample, initialise, stack
from satsqueeze.nets.input_check import check_input
from satsqueeze.nets.unet_config import UNetConfig

__all__ = ["UNet", "UNetConfig"]


class CellHead(nn.Module):
    """From features of stem cells to logits of pixels, which may look at the image itself once more.

    Without detail, one transposed convolution gives every pixel of a cell its own linear reading of the cell's
    features. With detail, that reading and a 3x3 convolution of the image meet before a ReLU, so that what a cell is
    decides what its pixels' values mean.
    """

    def __init__(self, config: UNetConfig, flavour: Flavour) -> None:
        super().__init__()
        cell = (config.stem, config.stem)
        outputs = config.detail or config.classes
        self.upsample = Upsample(config.features[0], outputs, stride=cell, kind="transposed")
        self.detail = ConvUnit(config.in_channels, config.detail, flavour, active=False) if config.detail else None
        self.activation = flavour.make_activation() if config.detail else nn.Identity()
        self.head = nn.Conv2d(config.detail, config.classes, 1) if config.detail else nn.Identity()

    def forward(self, cells: Tensor, image: Tensor) -> Tensor:
        """(N, F, H / stem, W / stem) and (N, C, H, W) -> logits (N, K, H, W)."""
        pixels: Tensor = self.upsample(cells)
        if self.detail is None:
            return pixels
        logits: Tensor = self.head(self.activation(pixels + self.detail(image)))
        return logits


class UNet(nn.Module):
    """Encoder, decoder and one or several segmentation heads.

    The plain and the residual encoder follow nnU-Net v2 layer by layer (Isensee et al., Nature Methods 2021;
    "nnU-Net Revisited", MICCAI 2024), students the double-convolution U-Net (Ronneberger et al., MICCAI 2015).

    Args:
        config: what to build. Weights are drawn from torch's global generator.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        flavour = Flavour(norm=config.norm, activation=config.activation)
        body = Flavour(norm=config.norm, activation=config.activation, separable=config.separable)
        self.stem = _stem(config, flavour)
        self.stages = nn.ModuleList(_encoder_stage(config, index, flavour, body) for index in range(config.n_stages))
        coarser = range(config.n_stages - 2, -1, -1)
        self.upsamples = nn.ModuleList(
            Upsample(
                config.features[i + 1], config.features[i], stride=config.stride_pairs[i + 1], kind=config.upsample
            )
            for i in coarser
        )
        self.decoders = nn.ModuleList(
            _decoder_stage(config, index, count, body)
            for index, count in zip(coarser, config.convs_decoder, strict=True)
        )
        self.cells_to_pixels = CellHead(config, flavour) if config.stem > 1 else None
        head_stages = () if config.stem > 1 else coarser if config.deep_supervision else (0,)
        self.heads = nn.ModuleList(nn.Conv2d(config.features[index], config.classes, 1) for index in head_stages)
        initialise(self)

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.config.size_multiple

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Segment normalised images.

        Args:
            x: float (N, C, H, W); H and W multiples of `size_multiple`.

        Returns:
            Logits (N, K, H, W); with deep supervision and in training, a list of logits, the finest first, each
            coarser one at the size of its decoder stage, the bottleneck having none.

        Raises:
            BandError: C is not the configured number of channels.
            GridError: H or W is not a multiple of `size_multiple`, or too small for instance normalisation.
        """
        # A compiler or exporter would turn these comparisons into constraints on its dynamic sizes.
        if not torch.compiler.is_compiling():
            self.check(x)
        return self.decode(self.encode(x), x)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, F, h, w) of every stage, the finest first, of normalised images (N, C, H, W)."""
        skips: list[Tensor] = []
        encoded = self.stem(x)
        for stage in self.stages:
            encoded = stage(encoded)
            skips.append(encoded)
        return skips

    def decode(self, features: Sequence[Tensor], x: Tensor) -> Tensor | list[Tensor]:
        """What `forward` returns, of features as `encode` gives them and the images that they are of."""
        skips = list(features)
        decoded = [skips.pop()]
        for upsample, decoder in zip(self.upsamples, self.decoders, strict=True):
            decoded.append(decoder(self._join(upsample(decoded[-1]), skips.pop())))
        if self.config.deep_supervision and self.training:
            return [head(features) for head, features in zip(self.heads, decoded[1:], strict=True)][::-1]
        if self.cells_to_pixels is not None:
            logits: Tensor = self.cells_to_pixels(decoded[-1], x)
        else:
            logits = self.heads[-1](decoded[-1])
        return logits

    def _join(self, coarse: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([coarse, skip], dim=1) if self.config.skip == "concat" else coarse + skip

    def check(self, x: Tensor) -> None:
        """Refuse images (N, C, H, W) that the network cannot take; see `forward`."""
        multiple = self.size_multiple
        check_input(x, in_channels=self.config.in_channels, multiple=multiple)
        if self.config.norm == "instance" and x.shape[2] == x.shape[3] == multiple:
            raise GridError(
                f"{multiple} x {multiple} px leave a single cell in the bottleneck, which instance normalisation "
                f"cannot scale; use at least {2 * multiple} px along one side"
            )


def _stem(config: UNetConfig, flavour: Flavour) -> nn.Module:
    """Cells of stem x stem pixels to features; a residual encoder has a convolution here in any case."""
    if config.stem == 1:
        if config.encoder == "plain":
            return nn.Identity()
        return ConvUnit(config.in_channels, config.features[0], flavour, kernel=config.kernel_pairs[0])
    # A kernel of twice the stride sees half a cell beyond each border, so that cells are not cut apart.
    widths = (config.in_channels, *([config.stem_width] if config.stem_width else []), config.features[0])
    cell = 2 if config.stem_width else config.stem
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers.append(nn.Conv2d(inputs, outputs, 2 * cell, stride=cell, padding=cell // 2))
        layers += [flavour.make_norm(outputs), flavour.make_activation()]
    return nn.Sequential(*layers)


def _encoder_stage(config: UNetConfig, index: int, flavour: Flavour, body: Flavour) -> nn.Module:
    stem_in = config.in_channels if config.stem == 1 and config.encoder == "plain" else config.features[0]
    inputs, outputs = list(pairwise((stem_in, *config.features)))[index]
    kernel, stride = config.kernel_pairs[index], config.stride_pairs[index]
    if config.encoder == "residual":

        def residual(first: bool) -> nn.Module:
            return ResidualBlock(
                inputs if first else outputs, outputs, flavour, kernel=kernel, stride=stride if first else (1, 1)
            )

        return nn.Sequential(*stack(config.convs_encoder[index], residual))
    pooling = config.downsample == "maxpool" and stride != (1, 1)

    def plain(first: bool) -> nn.Module:
        return ConvUnit(
            inputs if first else outputs,
            outputs,
            flavour if first and index == 0 else body,
            kernel=kernel,
            stride=stride if first and not pooling else (1, 1),
        )

    pool: list[nn.Module] = [nn.MaxPool2d(stride, stride)] if pooling else []
    return nn.Sequential(*pool, *stack(config.convs_encoder[index], plain))


def _decoder_stage(config: UNetConfig, index: int, count: int, body: Flavour) -> nn.Module:
    outputs = config.features[index]
    inputs = 2 * outputs if config.skip == "concat" else outputs

    def conv(first: bool) -> nn.Module:
        return ConvUnit(inputs if first else outputs, outputs, body, kernel=config.kernel_pairs[index])

    return nn.Sequential(*stack(count, conv))
