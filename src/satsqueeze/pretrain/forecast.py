"""Telling from a pixel's features what it looks like at dates that the network has not seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from satsqueeze.core.errors import TrainError
from satsqueeze.learn.augment.geometry import CERTAIN_HALF, valid_pixels
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.features import sampled
from satsqueeze.pretrain.view_geometry import at_points
from satsqueeze.pretrain.view_sampler import ViewBatch

_YEAR = 365.25
_HARMONICS = 4
_HIDDEN = 64
_BETA = 0.2  # standard deviations beyond which errors count linearly: a cloud is no lesson


class Forecast(nn.Module):
    """Two hidden layers that read features and a day of the year; thrown away after pre-training.

    Masked dates as a pretext are common for series of satellite images (such as Yuan and Lin, "Self-Supervised
    Pretraining of Transformers for Satellite Image Time Series Classification", 2021); dense features that must tell
    them from the other view's dates are ours.

    Args:
        features: channels of the network's dense features.
        bands: of the images.
    """

    def __init__(self, features: int, bands: int) -> None:
        super().__init__()
        self.pixel = nn.Conv1d(features, _HIDDEN, 1)
        self.season = nn.Linear(2 * _HARMONICS, _HIDDEN)
        self.answer = nn.Sequential(nn.ReLU(), nn.Conv1d(_HIDDEN, _HIDDEN, 1), nn.ReLU(), nn.Conv1d(_HIDDEN, bands, 1))

    def forward(self, features: Tensor, days: Tensor) -> Tensor:
        """Normalised reflectance (M, T, C, P) of pixels with features (M, F, P) on days of the year (M, T)."""
        angles = days[..., None] * (2 * math.pi / _YEAR) * torch.arange(1, _HARMONICS + 1, device=days.device)
        season = self.season(torch.cat([angles.sin(), angles.cos()], dim=-1))
        hidden = self.pixel(features)[:, None] + season[..., None]
        told: Tensor = self.answer(hidden.flatten(0, 1))
        return told.reshape(*days.shape, *told.shape[1:])


def forecast_loss(forecast: Forecast, model: SegmentationModel, found: Tensor, batch: ViewBatch) -> Tensor:
    """Huber loss, in standard deviations, of what each view tells of the matched pixels at the dates of the other.

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
    valid = valid_pixels(flat).float()
    # Pixels without data carry no weight in what lies between them and others.
    weight = sampled(valid, points, size=size)
    shown = sampled(model.normalise(flat) * valid, points, size=size) / weight.clamp(min=CERTAIN_HALF)
    shown = shown.reshape(-1, dates, *shown.shape[1:])
    seen = (at_points(valid, points).bool() & (weight >= CERTAIN_HALF)[:, 0]).reshape(-1, dates, points.shape[1])
    seen &= batch.counts.repeat(2, 1)[:, None]
    told = forecast(found, _exchanged(batch.days))
    counted = _exchanged(seen)[:, :, None].expand_as(told)
    if not counted.any():
        raise TrainError("no matched pixel is valid at any date of the other view; leave out places that are nodata")
    return functional.smooth_l1_loss(told[counted], _exchanged(shown)[counted], beta=_BETA)


def _exchanged(views: Tensor) -> Tensor:
    """Of the other view each."""
    return torch.cat(views.chunk(2)[::-1])
