"""Augmentation of series: geometry is the same for all dates of a place, light differs from date to date."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.augment.draws import Draws, step_seed
from satsqueeze.learn.augment.patches import Augmenter, AugmentSettings
from satsqueeze.learn.batch import TrainBatch
from satsqueeze.learn.series_batch import SeriesBatch

_GEOMETRY = ("rotation", "scaling", "mirror", "transpose")
_LIGHT = 1


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
        self._seed = seed
        self._geometry = Augmenter(settings, scaling=scaling, seed=seed)
        # A stream of its own: with one date, noise would fall where the first draws of geometry do.
        self._light = Augmenter(settings.without(*_GEOMETRY), scaling=scaling, seed=step_seed(seed, _LIGHT))

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
        flat = self._light(self._geometry.warped(flat, draws, repeats=dates))
        flat = self._geometry.flipped(flat, draws, repeats=dates)
        images = flat.images.reshape(count, dates, *flat.images.shape[1:])
        # A pixel that was resampled to nothing at one date keeps the label that it has at another.
        labels = flat.labels.reshape(count, dates, *flat.labels.shape[1:]).amin(dim=1)
        return batch._replace(images=images, labels=labels)
