"""The classic brightness threshold for clouds, callable like a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import SettingsError

_CERTAIN = 10.0  # logit that stands for a hard decision


class ThresholdModel(nn.Module):
    """Cloud where (green > dark and green > red) or green > bright.

    The test green > red is the normalised difference (green - red) / (green + red) > 0 of the Braaten-Cohen-Yang
    detector (Braaten, Cohen, Yang 2015) in the form published for Sentinel-2, without its short-wave snow test.

    Args:
        bands: names of the channels that will be passed; ``green`` and ``red`` must be among them.
        classes: class names; 0 is clear.
        foreground: classes that count as cloud; the first one is predicted.
        dark: reflectance.
        bright: reflectance.

    Raises:
        BandError: green or red is missing.
        SettingsError: no foreground class, or one that does not exist.
    """

    size_multiple = 1

    def __init__(
        self,
        bands: Sequence[str],
        classes: Sequence[str] = ("clear", "cloud"),
        foreground: Sequence[int] = (1,),
        *,
        dark: float = 0.175,
        bright: float = 0.39,
    ) -> None:
        super().__init__()
        if not foreground or not all(0 < value < len(classes) for value in foreground):
            raise SettingsError(f"the threshold needs a foreground class among {tuple(classes)}, got {foreground}")
        self.bands, self.classes, self.foreground = tuple(bands), tuple(classes), tuple(foreground)
        self._green, self._red = band_positions(bands, ("green", "red"))
        self._dark, self._bright = dark, bright

    def forward(self, reflectance: Tensor) -> Tensor:
        """Reflectance (N, C, H, W), 0 where invalid, to logits (N, K, H, W) of +-10; invalid pixels are clear."""
        green, red = reflectance[:, self._green], reflectance[:, self._red]
        cloud = ((green > self._dark) & (green > red)) | (green > self._bright)
        logits = reflectance.new_full((len(reflectance), len(self.classes), *reflectance.shape[2:]), -_CERTAIN)
        logits[:, self.foreground[0]] = torch.where(cloud, _CERTAIN, -_CERTAIN)
        logits[:, 0] = torch.where(cloud, -_CERTAIN, _CERTAIN)
        return logits
