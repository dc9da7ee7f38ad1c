"""Telling from a pixel's features what it looks like at dates that the network has not seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import TrainError
from satsqueeze.learn.geometry import valid_pixels
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.features import sampled
from satsqueeze.pretrain.view_sampler import ViewBatch
from satsqueeze.pretrain.weather import at_points

_YEAR = 365.25
_HARMONICS = 4
_HIDDEN = 64
_WIDTH = 0.7  # typical deviations at which an error counts half
_SMALLEST = 1e-3  # standard deviations


class Forecast(nn.Module):
    """Two hidden layers that read features and a day of the year; thrown away after pre-training.

    Masked dates as a pretext are common for series of satellite images (such as Yuan and Lin, "Self-Supervised
    Pretraining of Transformers for Satellite Image Time Series Classification", 2021); dense features that must tell
    them from the other view's dates are ours.

    It tells reflectance in typical deviations from what is typical, see :meth:`measure`.

    Args:
        features: channels of the network's dense features.
        bands: of the images.
    """

    typical: Tensor
    deviation: Tensor

    def __init__(self, features: int, bands: int) -> None:
        super().__init__()
        self.pixel = nn.Conv1d(features, _HIDDEN, 1)
        self.season = nn.Linear(2 * _HARMONICS, _HIDDEN)
        self.answer = nn.Sequential(nn.ReLU(), nn.Conv1d(_HIDDEN, _HIDDEN, 1), nn.ReLU(), nn.Conv1d(_HIDDEN, bands, 1))
        self.register_buffer("typical", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))

    def measure(self, shown: Tensor) -> None:
        """Take what is typical from normalised reflectance (M, C): medians, and median distances from them.

        Clouds, a third of all pixels of many series, would stretch a standard deviation until the ground is lost in it.
        """
        if not len(shown):
            return
        self.typical.copy_(shown.median(dim=0).values)
        self.deviation.copy_((shown - self.typical).abs().median(dim=0).values.clamp(min=_SMALLEST))

    def forward(self, features: Tensor, days: Tensor) -> Tensor:
        """What pixels with features (M, F, P) look like on days of the year (M, T): float (M, T, C, P)."""
        angles = days[..., None] * (2 * math.pi / _YEAR) * torch.arange(1, _HARMONICS + 1, device=days.device)
        season = self.season(torch.cat([angles.sin(), angles.cos()], dim=-1))
        hidden = self.pixel(features)[:, None] + season[..., None]
        told: Tensor = self.answer(hidden.flatten(0, 1))
        return told.reshape(*days.shape, *told.shape[1:])

    def errors(self, told: Tensor, shown: Tensor) -> Tensor:
        """Of answers and normalised reflectance (..., C, P) each."""
        return told - (shown - self.typical[:, None]) / self.deviation[:, None]


def forecast_loss(forecast: Forecast, model: SegmentationModel, found: Tensor, batch: ViewBatch) -> Tensor:
    """How wrong each view is about the matched pixels at the dates of the other, from 0 to 1.

    The mean of d^2 / (d^2 + w^2) (Geman and McClure 1987) over pixels and dates, where d^2 is the mean over bands of
    the squared error in typical deviations: a cloud counts 1 and teaches nothing.

    Args:
        forecast: answers.
        model: normalises.
        found: float (2 N, F, P), features at the points of the batch.
        batch: views of series.

    Raises:
        TrainError: views of single dates, or no pair that the other view shows.
    """
    if batch.days is None:
        raise TrainError("views of single dates have no other dates to tell of; set forecast_weight to 0")
    size, dates = batch.images.shape[-1], batch.images.shape[1]
    flat, points = batch.images.flatten(0, 1), batch.points.repeat_interleave(dates, dim=0)
    shown = sampled(model.normalise(flat), points, size=size)
    shown = shown.reshape(-1, dates, *shown.shape[1:])
    seen = at_points(valid_pixels(flat).float(), points).bool().reshape(-1, dates, points.shape[1])
    seen &= batch.counts.repeat(2, 1)[:, None]
    counted = _exchanged(seen)
    if not counted.any():
        raise TrainError("no matched pixel is valid at any date of the other view; leave out places that are nodata")
    errors = forecast.errors(forecast(found, _exchanged(batch.days)), _exchanged(shown))
    squares = errors.square().mean(dim=2)[counted]
    return torch.mean(squares / (squares + _WIDTH**2))


def _exchanged(views: Tensor) -> Tensor:
    """Of the other view each."""
    return torch.cat(views.chunk(2)[::-1])
