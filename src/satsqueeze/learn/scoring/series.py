"""Scoring networks over dates: each place is predicted once, from all of its dates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.series import Series, series_images, series_label, series_of
from satsqueeze.learn.scoring.evaluate import Evaluation, Prediction, ScoreSettings, channels, empty_evaluation, merged
from satsqueeze.learn.scoring.sliding import mask_of, predict_logits, probabilities_of
from satsqueeze.nets.model import SegmentationModel


class OnDays(nn.Module):
    """A network over dates for series of given days, as a segmenter of images with the bands of all dates as channels.

    Args:
        model: takes (N, T, C, h, w) and days (N, T).
        days: day of the year of each of the T dates.
    """

    days: Tensor

    def __init__(self, model: SegmentationModel, days: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        device = next(model.parameters()).device
        self.register_buffer("days", torch.tensor([list(days)], dtype=torch.float32, device=device), persistent=False)

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.model.size_multiple

    def forward(self, reflectance: Tensor) -> Tensor:
        """Logits (N, K, h, w) of reflectance (N, T C, h, w)."""
        dates = self.days.shape[1]
        series = reflectance.reshape(len(reflectance), dates, -1, *reflectance.shape[2:])
        logits: Tensor | list[Tensor] = self.model(series, self.days.expand(len(reflectance), -1))
        return logits[0] if isinstance(logits, list) else logits


def score_series(
    model: SegmentationModel,
    cache: PackedCache,
    ids: Sequence[str],
    *,
    settings: ScoreSettings = ScoreSettings(),  # noqa: B008 - frozen
) -> Evaluation:
    """Score a network over dates on the labelled places that items of a cache make up.

    Pixels that no date shows do not count. Bands are handed over by name.

    Args:
        model: a network over dates.
        cache: images and labels.
        ids: dates to use; places without a labelled pixel are passed over.
        settings: how places are predicted.

    Raises:
        SplitError: no place has a labelled pixel.
        SettingsError: the model has other classes than the cache.
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
        BandError: the model needs a band that the cache lacks.
    """
    if merged(model, cache):
        raise SettingsError(
            f"the network knows the classes {', '.join(model.card.classes)}, the data has {', '.join(cache.classes)}; "
            "places are scored class by class: train on data with these classes"
        )
    evaluation = empty_evaluation(model, cache)
    places = series_of(cache, ids)
    for series in places:
        prediction = predicted(model, cache, series, settings)
        if (prediction.truth != IGNORE).any():
            evaluation.update(prediction)
    if not evaluation.metrics.per_image():
        raise SplitError(f"none of the {len(places)} places to score has a labelled pixel; choose places with labels")
    return evaluation


def predicted(model: SegmentationModel, cache: PackedCache, series: Series, settings: ScoreSettings) -> Prediction:
    """What a network over dates says of a place; pixels that no date shows are 255 in mask and truth."""
    positions = channels(model, cache)
    images = series_images(cache, series)
    shown = (images != 0).any(axis=(0, 1))
    taken = images if positions is None else images[:, positions]
    logits = predict_logits(
        OnDays(model, series.days),
        taken.reshape(-1, series.height, series.width),
        window=settings.window,
        overlap=settings.overlap,
        mirror=settings.mirror,
        precision=settings.precision,
    )
    entry = cache.entries[series.positions[0]]
    truth = series_label(cache, series)
    mask = settings.postprocess.apply(mask_of(logits), cache.foreground)
    truth[~shown] = mask[~shown] = IGNORE
    return Prediction(
        id=series.place,
        source=entry.source,
        groups=tuple(entry.groups),
        truth=truth,
        probabilities=probabilities_of(logits),
        mask=mask,
    )
