"""Networks of others, for comparison, behind the same call as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.input_check import check_input


@dataclass(frozen=True, kw_only=True)
class SmpUNetConfig:
    """The U-Net of segmentation-models-pytorch with a torchvision encoder, without pre-trained weights.

    With ``resnet34`` this is the architecture of the On Cloud N benchmark.

    Raises:
        SettingsError: a number below 1.
    """

    in_channels: int
    """Bands of an image."""
    classes: int
    """Logits per pixel."""
    encoder: str = "resnet34"
    """Name of the encoder in segmentation-models-pytorch."""

    def __post_init__(self) -> None:
        if min(self.in_channels, self.classes) < 1:
            raise SettingsError(
                f"in_channels and classes must be at least 1, got {self.in_channels} and {self.classes}"
            )

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return 32

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SmpUNetConfig:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys.
        """
        try:
            return cls(**record)
        except TypeError as error:
            raise SettingsError(f"not a configuration of the smp U-Net: {error}") from error


class SmpUNet(nn.Module):
    """`segmentation_models_pytorch.Unet`, initialised as its authors do; downloads nothing.

    Args:
        config: what to build. Weights are drawn from torch's global generator.

    Raises:
        SettingsError: the library has no such encoder.
    """

    def __init__(self, config: SmpUNetConfig) -> None:
        super().__init__()
        self.config = config
        # Here, because the import takes seconds and only this baseline needs it.
        import segmentation_models_pytorch as smp

        known = smp.encoders.get_encoder_names()
        if config.encoder not in known:
            raise SettingsError(f"unknown encoder {config.encoder!r}; known: {', '.join(sorted(known))}")
        self.net = smp.Unet(
            config.encoder, encoder_weights=None, in_channels=config.in_channels, classes=config.classes
        )

    def forward(self, x: Tensor) -> Tensor:
        """Segment normalised images: float (N, C, H, W) -> logits (N, K, H, W).

        Raises:
            BandError: C is not the configured number of channels.
            GridError: H or W is not a multiple of 32.
        """
        if not torch.compiler.is_compiling():
            check_input(x, in_channels=self.config.in_channels, multiple=self.config.size_multiple)
        features = self.net.encoder(x)
        logits: Tensor = self.net.segmentation_head(self.net.decoder(features))
        return logits
