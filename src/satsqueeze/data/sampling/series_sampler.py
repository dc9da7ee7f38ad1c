"""Random patches of series; each batch is a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.sampler import PatchSampler, clipped, place_of
from satsqueeze.data.series import series_images, series_label, series_of


@dataclass(frozen=True, kw_only=True)
class DatedBatch:
    """N patches at T dates."""

    images: NDArray[np.float32]
    """Reflectance (N, T, C, h, w); 0 where invalid, outside of the image, or where a series has fewer dates."""
    days: NDArray[np.float32]
    """Day of the year (N, T), counted from 1; 0 where a series has fewer dates."""
    labels: NDArray[np.uint8]
    """Classes (N, h, w), 255 = ignore."""
    places: tuple[str, ...]
    """The series of each patch."""


class SeriesSampler:
    """Draws patches of series.

    Where to cut is what :class:`satsqueeze.data.sampling.sampler.PatchSampler` draws of single dates: places count by
    their number of dates. Of each place so many dates are drawn at random, without order or repetition.

    Args:
        cache: what to draw from.
        ids: dates to draw.
        patch_size: rows and columns.
        batch_size: patches per batch.
        dates: largest number of dates of a patch.
        seed: of all draws.
        foreground_share: as of ``PatchSampler``.
        source_weights: as of ``PatchSampler``.

    Raises:
        SettingsError: no date, or as ``PatchSampler``.
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
    """

    def __init__(
        self,
        cache: PackedCache,
        ids: Sequence[str],
        *,
        patch_size: tuple[int, int],
        batch_size: int,
        dates: int,
        seed: int,
        foreground_share: float = 1 / 3,
        source_weights: Mapping[str, float] | None = None,
    ) -> None:
        if dates < 1:
            raise SettingsError(f"series are drawn with at least 1 date, got {dates}")
        self.cache, self.dates, self.seed = cache, dates, seed
        self._where = PatchSampler(
            cache,
            ids,
            patch_size=patch_size,
            batch_size=batch_size,
            foreground_share=foreground_share,
            seed=seed,
            source_weights=source_weights,
        )
        self._series = {one.place: one for one in series_of(cache, ids)}

    def batch(self, step: int) -> DatedBatch:
        """The batch of a step; the same for the same seed, whatever was drawn before."""
        drawn = self._where.batch(step)
        series = [self._series[self.cache.entries[self.cache.position(name)].series] for name in drawn.ids]
        generator = np.random.default_rng((self.seed, step, self.dates))
        chosen = [np.sort(generator.permutation(len(one))[: self.dates]) for one in series]
        count, longest = len(series), max(map(len, chosen))
        images = np.zeros((count, longest, *drawn.images.shape[1:]), np.float32)
        days = np.zeros((count, longest), np.float32)
        labels = np.full(drawn.labels.shape, IGNORE, np.uint8)
        for slot, (one, dates, window) in enumerate(zip(series, chosen, drawn.windows, strict=True)):
            inner = clipped(window, one.height, one.width)
            place = place_of(window, inner)
            images[slot, : len(dates)][:, :, *place] = series_images(self.cache, one, dates.tolist(), inner)
            days[slot, : len(dates)] = np.array(one.days)[dates]
            label = series_label(self.cache, one, inner)
            # What no drawn date shows cannot be told.
            shown = (images[slot][:, :, *place] != 0).any(axis=(0, 1))
            labels[slot][place] = np.where(shown, label, IGNORE)
        return DatedBatch(images=images, days=days, labels=labels, places=tuple(one.place for one in series))
