"""Augmentation of series: geometry is the same for all dates of a place, light differs from date to date."""

from __future__ import annotations

import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.learn import geometry
from satsqueeze.learn.augment import Augmenter, AugmentSettings
from satsqueeze.learn.batch import TrainBatch
from satsqueeze.learn.draws import Draws
from satsqueeze.learn.series_batch import SeriesBatch

_GEOMETRY = ("rotation", "scaling", "mirror", "transpose")


class SeriesAugmenter:
    """Augments batches of series; what it does depends on nothing but the seed and the number of the step.

    Args:
        settings: probabilities and ranges, of places for geometry and of dates for all else.
        scaling: names of the bands, and the standard deviation of their reflectance, the unit of the noise.
        seed: non-negative.

    Raises:
        SettingsError: clouds are to be pasted, which would need a label for every date.
    """

    def __init__(self, settings: AugmentSettings, *, scaling: Scaling, seed: int) -> None:
        if settings.paste:
            raise SettingsError(
                f"augmentation 'paste' moves clouds with their label, but a series has one label for all dates; got "
                f"{settings.paste}, set it to 0"
            )
        self._settings, self._seed = settings, seed
        self._light = Augmenter(settings.without(*_GEOMETRY), scaling=scaling, seed=seed)

    def __call__(self, batch: SeriesBatch) -> SeriesBatch:
        """Augment a batch. Invalid pixels (reflectance 0 in every band) stay invalid, and so do absent dates."""
        count, dates = batch.images.shape[:2]
        draws = Draws(self._seed, batch.step)
        flat = TrainBatch(
            images=batch.images.flatten(0, 1),
            labels=batch.labels.repeat_interleave(dates, dim=0),
            soft=None,
            step=batch.step,
        )
        flat = self._flip(self._light(self._warp(flat, draws, count, dates)), draws, count, dates)
        images = flat.images.reshape(count, dates, *flat.images.shape[1:])
        # A pixel that was resampled to nothing at one date keeps the label that it has at another.
        labels = flat.labels.reshape(count, dates, *flat.labels.shape[1:]).amin(dim=1)
        return batch._replace(images=images, labels=labels)

    def _warp(self, flat: TrainBatch, draws: Draws, count: int, dates: int) -> TrainBatch:
        s = self._settings
        turned, scaled = draws.chosen(s.rotation, count), draws.chosen(s.scaling, count)
        degrees = draws.uniform(-s.rotation_degrees, s.rotation_degrees, count) * turned
        factors = torch.where(scaled, draws.factor(*s.scaling_range, count), 1.0)
        chosen = (turned | scaled).repeat_interleave(dates).nonzero().flatten()
        height, width = flat.images.shape[-2:]
        degrees, factors = degrees.repeat_interleave(dates)[chosen], factors.repeat_interleave(dates)[chosen]
        return geometry.warped(flat, chosen, geometry.sampling_matrices(degrees, factors, height=height, width=width))

    def _flip(self, flat: TrainBatch, draws: Draws, count: int, dates: int) -> TrainBatch:
        s = self._settings
        square = flat.images.shape[-2] == flat.images.shape[-1]
        probabilities = (s.mirror, s.mirror, s.transpose if square else 0.0)
        turns = [draws.chosen(probability, count).repeat_interleave(dates) for probability in probabilities]
        return geometry.oriented(flat, upside_down=turns[0], sideways=turns[1], transposed=turns[2])
