"""A U-Net over the dates of a place: one encoder for all of them, and attention that weighs them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.nets.unet import UNet
from satsqueeze.nets.unet_config import Pair, UNetConfig

__all__ = ["SeriesUNet", "SeriesUNetConfig", "over_dates"]

_YEAR = 365.25
_MOST_HEADS = 8


@dataclass(frozen=True, kw_only=True)
class SeriesUNetConfig(UNetConfig):
    """A U-Net of one date, and how its dates are weighed.

    Raises:
        SettingsError: heads that do not divide the features of every stage, or as `UNetConfig`.
    """

    heads: int = 1
    """Groups of channels, each with weights of its own; divides the features of every stage."""
    keys: int = 16
    """Hidden channels from which the weights are told."""
    harmonics: int = 4
    """Waves by which the day of the year is told: periods of a year, half a year, and so on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.heads, self.keys, self.harmonics) < 1:
            raise SettingsError(
                f"heads, keys and harmonics must be at least 1, got {self.heads}, {self.keys} and {self.harmonics}"
            )
        if any(width % self.heads for width in self.features):
            raise SettingsError(
                f"heads: {self.heads} does not divide the features {self.features} of every stage; use a divisor of "
                f"{math.gcd(*self.features)}"
            )
        if self.detail:
            raise SettingsError("detail looks at a single image and cannot be used over dates; set it to 0")

    @classmethod
    def over(cls, config: UNetConfig) -> SeriesUNetConfig:
        """A U-Net over dates whose encoder and decoder are those of ``config``, with up to 8 heads."""
        record = {item.name: getattr(config, item.name) for item in fields(UNetConfig)}
        return cls(**record, heads=math.gcd(_MOST_HEADS, *config.features))


class DateAttention(nn.Module):
    """How much each date counts, from what it shows and from its day of the year.

    Args:
        features: channels of what dates show.
        config: heads, keys and harmonics.
    """

    def __init__(self, features: int, config: SeriesUNetConfig) -> None:
        super().__init__()
        self.harmonics = config.harmonics
        self.look = nn.Conv2d(features, config.keys, 1)
        self.season = nn.Linear(2 * config.harmonics, config.keys)
        self.score = nn.Conv2d(config.keys, config.heads, 1, bias=False)
        nn.init.normal_(self.score.weight, std=0.01)  # all dates count alike at first

    def forward(self, shown: Tensor, days: Tensor) -> Tensor:
        """Scores (N, T, heads, h, w), whose softmax over T is the weight of a date.

        Args:
            shown: float (N, T, F, h, w).
            days: float (N, T), day of the year.
        """
        season = self.season(self._waves(days).to(shown.dtype)).flatten(0, 1)[:, :, None, None]
        scores: Tensor = self.score(torch.relu(self.look(shown.flatten(0, 1)) + season))
        return scores.reshape(shown.shape[0], shown.shape[1], *scores.shape[1:])

    def _waves(self, days: Tensor) -> Tensor:
        """Sines and cosines (N, T, 2 harmonics): the last day of a year is next to the first."""
        waves = torch.arange(1, self.harmonics + 1, device=days.device, dtype=days.dtype)
        angles = days[..., None] * (2 * math.pi / _YEAR) * waves
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SeriesUNet(UNet):
    """Every date goes through the same encoder; at every stage the dates are averaged, then decoded once.

    The weights come from the deepest stage and the day of the year and are brought to the finer ones, which average
    their own features with them; groups of channels have weights of their own. The idea is that of U-TAE (Garnot and
    Landrieu, "Panoptic Segmentation of Satellite Image Time Series with Convolutional Temporal Attention Networks",
    ICCV 2021) with queries that do not depend on the data as in L-TAE (Garnot and Landrieu, "Lightweight Temporal
    Self-Attention for Classifying Satellite Image Time Series", 2020). Ours: scores of two layers, masks of pixels
    instead of dates, days as waves of the year, and values that are left as they are. So a series of one date is
    segmented as by the U-Net alone, whose tensors have the same names.

    Args:
        config: what to build. Weights are drawn from torch's global generator.
    """

    def __init__(self, config: SeriesUNetConfig) -> None:
        super().__init__(config)
        self.attention = DateAttention(config.features[-1], config)
        self._cells = _cells(config)

    @override
    def forward(self, x: Tensor, days: Tensor | None = None, seen: Tensor | None = None) -> Tensor | list[Tensor]:
        """Segment normalised series, or without days normalised images as `UNet` does.

        The order of dates does not matter, and neither does what a date holds where it is not seen, but for the
        neighbours of such pixels. Where no date is seen, logits mean nothing.

        Args:
            x: float (N, T, C, H, W), any T of at least 1; H and W multiples of `size_multiple`.
            days: float (N, T), day of the year of each date.
            seen: bool (N, T, H, W), whether a pixel counts at a date; None for all.

        Returns:
            As `UNet`: logits (N, K, H, W), or a list of them.

        Raises:
            BandError, GridError: as `UNet`, or days or masks that do not fit the images.
        """
        if days is None:
            return super().forward(x)
        if not torch.compiler.is_compiling():
            self._check_series(x, days, seen)
        if seen is None:
            seen = torch.ones_like(x[:, :, 0], dtype=torch.bool)
        features = [level.reshape(*x.shape[:2], *level.shape[1:]) for level in self._encoded(x.flatten(0, 1), seen)]
        scores = self.attention(features[-1], days)
        deepest = self._cells[-1]
        merged = []
        for level, cell in zip(features, self._cells, strict=True):
            finer = (float(deepest[0] // cell[0]), float(deepest[1] // cell[1]))
            merged.append(over_dates(level, _magnified(scores, finer), _seen_cells(seen, cell)))
        return self.decode(merged, x[:, 0])

    def _encoded(self, frames: Tensor, seen: Tensor) -> list[Tensor]:
        """Features of all dates (N T, F, h, w); in training, dates without a pixel stay out of the batch norms."""
        if not self.training:
            return self.encode(frames)
        present = seen.flatten(2).any(dim=2).flatten()
        if bool(present.all()) or not bool(present.any()):
            return self.encode(frames)
        levels = self.encode(frames[present])
        return [
            level.new_zeros(len(frames), *level.shape[1:]).masked_scatter(present[:, None, None, None], level)
            for level in levels
        ]

    def _check_series(self, x: Tensor, days: Tensor, seen: Tensor | None) -> None:
        if x.ndim != 5 or not x.shape[1] or tuple(days.shape) != tuple(x.shape[:2]):
            raise GridError(
                f"a series is images (N, T, C, H, W) of at least one date with days (N, T), got {tuple(x.shape)} and "
                f"{tuple(days.shape)}"
            )
        expected = (*x.shape[:2], *x.shape[3:])
        if seen is not None and tuple(seen.shape) != expected:
            raise GridError(f"the mask of a series must be (N, T, H, W) = {expected}, got {tuple(seen.shape)}")
        self.check(x[:, 0])


def over_dates(values: Tensor, scores: Tensor, seen: Tensor) -> Tensor:
    """Mean of values over the dates that are seen, weighted by the softmax of scores; 0 where none is.

    Args:
        values: float (N, T, F, h, w).
        scores: float (N, T, G, h, w); G divides F, and each of G groups of channels has its own weights.
        seen: bool (N, T, h, w).

    Returns:
        Float (N, F, h, w).
    """
    mask = seen[:, :, None]
    top = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).amax(dim=1, keepdim=True)
    # Clamped, since an unseen date may have the highest score of all.
    powers = (scores - top).clamp(max=0).exp() * mask.to(scores.dtype)
    weights = powers / powers.sum(dim=1, keepdim=True).clamp(min=1)  # 1 at least where any date is seen
    groups = scores.shape[2]
    grouped = values.reshape(*values.shape[:2], groups, values.shape[2] // groups, *values.shape[3:])
    return (grouped * weights[:, :, :, None].to(values.dtype)).sum(dim=1).flatten(1, 2)


def _magnified(scores: Tensor, factor: tuple[float, float]) -> Tensor:
    if factor == (1.0, 1.0):
        return scores
    flat = functional.interpolate(scores.flatten(0, 1), scale_factor=factor, mode="bilinear", align_corners=False)
    return flat.reshape(*scores.shape[:2], *flat.shape[1:])


def _seen_cells(seen: Tensor, cell: Pair) -> Tensor:
    """Which cells (N, T, H / cell, W / cell) hold a pixel that is seen."""
    if cell == (1, 1):
        return seen
    return functional.max_pool2d(seen.to(torch.float32), cell) > 0


def _cells(config: UNetConfig) -> tuple[Pair, ...]:
    """Pixels (y, x) along the sides of a cell of every stage."""
    rows = cols = config.stem
    cells = []
    for down, across in config.stride_pairs:
        rows, cols = rows * down, cols * across
        cells.append((rows, cols))
    return tuple(cells)
