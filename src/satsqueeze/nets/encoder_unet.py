"""A classifier of the zoo as the encoder of a segmentation network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.blocks import ConvUnit, Flavour, Upsample, stack
from satsqueeze.nets.input_check import check_input
from satsqueeze.nets.unet_config import UNetConfig, UpsampleKind
from satsqueeze.nets.zoo.small_resnet import WIDTHS, SmallResNet

ENCODERS = {"resnet8": (1, 1, 1), "resnet16": (2, 2, 2)}
"""Blocks per stage of the classifiers whose stages serve, by their name in the zoo."""


@dataclass(frozen=True, kw_only=True)
class EncoderUNetConfig:
    """A U-Net whose encoder is the stem and the stages of a classifier, so that a run of it is its start.

    Raises:
        SettingsError: another classifier, or a number below 1.
    """

    in_channels: int
    """Bands of an image."""
    classes: int
    """Logits per pixel."""
    model: str = "resnet8"
    """Name of the classifier: ``resnet8`` or ``resnet16``."""
    convs_decoder: int = 1
    """Convolutions of every decoder stage."""
    upsample: UpsampleKind = "transposed"
    """As of :class:`satsqueeze.nets.unet_config.UNetConfig`."""

    def __post_init__(self) -> None:
        if self.model not in ENCODERS or self.upsample not in ("transposed", "nearest"):
            raise SettingsError(
                f"no segmentation network on {self.model!r} with upsample {self.upsample!r}; expected one of "
                f"{', '.join(ENCODERS)}, and transposed or nearest"
            )
        if min(self.in_channels, self.classes, self.convs_decoder) < 1:
            raise SettingsError(
                "in_channels, classes and convs_decoder must be at least 1, got "
                f"{self.in_channels}, {self.classes} and {self.convs_decoder}"
            )

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return int(2 ** (len(WIDTHS) - 1))

    @property
    def shape(self) -> UNetConfig:
        """A U-Net whose convolutions look as far."""
        coarser = len(WIDTHS) - 1
        return UNetConfig(
            in_channels=self.in_channels,
            classes=self.classes,
            features=WIDTHS,
            strides=(1, *(2,) * coarser),
            convs_encoder=ENCODERS[self.model],
            convs_decoder=(self.convs_decoder,) * coarser,
            encoder="residual",
            norm="batch",
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> EncoderUNetConfig:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys, or values that cannot be.
        """
        try:
            return cls(**record)
        except TypeError as error:
            raise SettingsError(f"not a configuration of a U-Net on a classifier: {error}") from error


class EncoderUNet(nn.Module):
    """Stem and stages of a small residual classifier, and a decoder of as many stages that joins them.

    Tensors of the encoder are called as in the classifier's body, which is how a run is taken over.

    Args:
        config: what to build. Weights are drawn from torch's global generator.
    """

    def __init__(self, config: EncoderUNetConfig) -> None:
        super().__init__()
        self.config = config
        encoder = SmallResNet(config.in_channels, config.classes, blocks=ENCODERS[config.model])
        self.stem, self.stages = encoder.stem, encoder.stages
        flavour = Flavour(norm="batch", activation="relu")
        finer = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.upsamples = nn.ModuleList(
            Upsample(coarse, fine, stride=(2, 2), kind=config.upsample) for coarse, fine in finer
        )

        def decoder(fine: int) -> nn.Module:
            return nn.Sequential(
                *stack(config.convs_decoder, lambda first: ConvUnit(2 * fine if first else fine, fine, flavour))
            )

        self.decoders = nn.ModuleList(decoder(fine) for _, fine in finer)
        self.to_logits = nn.Conv2d(WIDTHS[0], config.classes, 1)

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.config.size_multiple

    def forward(self, x: Tensor) -> Tensor:
        """Segment normalised images: float (N, C, H, W) -> logits (N, K, H, W).

        Raises:
            BandError: C is not the configured number of channels.
            GridError: H or W is not a multiple of `size_multiple`.
        """
        if not torch.compiler.is_compiling():
            check_input(x, in_channels=self.config.in_channels, multiple=self.size_multiple)
        skips = [self.stem(x)]
        for stage in self.stages:
            skips.append(stage(skips[-1]))
        decoded = skips.pop()
        for upsample, decoder in zip(self.upsamples, self.decoders, strict=True):
            decoded = decoder(torch.cat([upsample(decoded), skips.pop()], dim=1))
        logits: Tensor = self.to_logits(decoded)
        return logits
