"""Pairs of views with matched pixels; each batch is a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import DataError, SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.names import meant
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.items.acquisition import day_of_year
from satsqueeze.learn.augment.geometry import valid_pixels
from satsqueeze.pretrain.neighbours import neighbours
from satsqueeze.pretrain.places import places_of
from satsqueeze.pretrain.view_geometry import Points, ViewGeometry, at_points
from satsqueeze.pretrain.view_settings import ViewSettings

_ATTEMPTS = 20

Dates = tuple[int, ...]
"""Positions in the cache."""


class ViewBatch(NamedTuple):
    """Two views of each of N places, as a plain tuple so that Lightning can move it between devices."""

    images: Tensor
    """Float32 reflectance (2 N, C, size, size), all first views before all second ones; 0 where invalid. Of series
    (2 N, T, C, size, size), 0 where a place has fewer dates."""
    points: Tensor
    """Float32 (2 N, P, 2): (row, col) of each matched pixel in its view."""
    ground: Tensor
    """Float32 (N, P, 2): (row, col) in the image of the pixels of the first views."""
    partners: Tensor
    """Float32 (N, P, 2): those that they are matched with in the second views: the same, or neighbours."""
    counts: Tensor
    """Bool (N, P): whether the pair is one: valid, and not on cloud, in both."""
    places: Tensor
    """Int64 (N,): number of the place."""
    step: int
    """Global number of the step that these views belong to."""
    days: Tensor | None = None
    """Float32 (2 N, T), day of the year of each date of series, counted from 1; 0 where a place has fewer."""

    def to(self, device: torch.device) -> ViewBatch:
        """The same on another device."""
        return ViewBatch(
            images=self.images.to(device),
            points=self.points.to(device),
            ground=self.ground.to(device),
            partners=self.partners.to(device),
            counts=self.counts.to(device),
            places=self.places.to(device),
            step=self.step,
            days=None if self.days is None else self.days.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two views of a place."""

    place: int
    dates: tuple[Dates, Dates]
    """Of the first and of the second view."""
    views: tuple[ViewGeometry, ViewGeometry]
    ground: Points
    """(n, 2) pixels of the image that may be paired, n <= positions."""
    partners: Points
    """(n, 2) pixels that they are paired with in the second view: themselves, or neighbours."""


class ViewSampler:
    """Draws pairs of views.

    Places are drawn uniformly. Pixels are paired where both dates are valid and no label tells of a cloud, of series
    where that holds for a date of each view; a draw with fewer of them than an eighth of what is wanted is made again,
    up to 20 times.

    Args:
        cache: images.
        ids: items to draw.
        settings: see there.
        batch_size: pairs of views.
        seed: of all draws.
        channels: which bands to take and in which order; None = all as they are.

    Raises:
        DataError: no image, or series whose dates are unknown.
        SettingsError: a batch size below 1, a negative seed, a class in ``avoid`` that the labels do not have; and see
            :func:`satsqueeze.pretrain.places.places_of`.
        GridError: the dates of a place differ in size.
    """

    def __init__(
        self,
        cache: PackedCache,
        ids: Sequence[str],
        settings: ViewSettings,
        *,
        batch_size: int,
        seed: int,
        channels: list[int] | None = None,
    ) -> None:
        if batch_size < 1 or seed < 0:
            raise SettingsError(f"views need a batch size >= 1 and a seed >= 0, got {batch_size} and {seed}")
        self.cache, self.settings, self.batch_size, self.seed = cache, settings, batch_size, seed
        self.places = places_of(cache, ids, settings)
        self._days = (
            {date: day_of_year(cache.entries[date].date) for dates in self.places for date in dates}
            if settings.series
            else {}
        )
        self._channels = channels
        unknown = [name for name in settings.avoid if name not in cache.classes]
        if unknown and settings.avoid != ViewSettings.avoid:
            raise SettingsError(
                f"'avoid' names {', '.join(unknown)}; {meant(unknown[0], cache.classes)}the labels have "
                f"{', '.join(cache.classes)}"
            )
        self._avoided = [value for value, name in enumerate(cache.classes) if name in settings.avoid]

    def batch(self, step: int) -> ViewBatch:
        """The batch of a step; the same for the same seed, whatever was drawn before.

        Raises:
            DataError: no drawn pair of views shares a valid pixel.
        """
        generator = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        pairs = [self._draw(generator) for _ in range(self.batch_size)]
        count = self.settings.positions
        points = np.zeros((2, self.batch_size, count, 2), np.float32)
        ground, partners = np.zeros((2, self.batch_size, count, 2), np.float32)
        counts = np.zeros((self.batch_size, count), np.bool_)
        for slot, pair in enumerate(pairs):
            found = len(pair.ground)
            counts[slot, :found], ground[slot, :found], partners[slot, :found] = True, pair.ground, pair.partners
            for side, (view, pixels) in enumerate(zip(pair.views, (pair.ground, pair.partners), strict=True)):
                points[side, slot, :found] = view.from_image(pixels)
        images = torch.stack([self._cut(pair.dates[side], pair.views[side]) for side in range(2) for pair in pairs])
        located = torch.from_numpy(points.reshape(-1, count, 2))
        shown = torch.from_numpy(counts) & _shown(images, located)
        if not shown.any():
            raise DataError(
                f"in {_ATTEMPTS * self.batch_size} draws no two views shared a pixel that is valid and free of cloud "
                "in both; leave images that are all nodata or cloud out, check 'avoid' and 'place', or set dates to one"
            )
        return ViewBatch(
            images=images,
            points=located,
            ground=torch.from_numpy(ground),
            partners=torch.from_numpy(partners),
            counts=shown,
            places=torch.tensor([pair.place for pair in pairs]),
            step=step,
            days=self._days_of([pair.dates[side] for side in range(2) for pair in pairs]),
        )

    def _draw(self, generator: np.random.Generator) -> _Pair:
        best = self._attempt(generator)
        for _ in range(_ATTEMPTS - 1):
            if 8 * len(best.ground) >= self.settings.positions:
                break
            again = self._attempt(generator)
            best = again if len(again.ground) > len(best.ground) else best
        return best

    def _attempt(self, generator: np.random.Generator) -> _Pair:
        place = int(generator.integers(len(self.places)))
        first, second = self._dates(generator, self.places[place])
        entry = self.cache.entries[first[0]]
        views = self._views(generator, entry.height, entry.width)
        shared = views[0].shared(views[1])
        usable = shared[self._usable((first, second), shared)] if len(shared) else shared
        wanted = min(self.settings.positions, len(usable))
        ground = usable[np.sort(generator.choice(len(usable), wanted, replace=False))] if wanted else usable
        partners = neighbours(generator, ground, usable, self.settings.apart)
        return _Pair(place=place, dates=(first, second), views=views, ground=ground, partners=partners)

    def _dates(self, generator: np.random.Generator, dates: Dates) -> tuple[Dates, Dates]:
        """Of a place, for the first and the second view."""
        if self.settings.series:
            count = min(self.settings.series, len(dates) // 2)
            drawn = [dates[number] for number in generator.permutation(len(dates))[: 2 * count]]
            other = drawn[:count] if self.settings.dates == "one" else drawn[count:]
            return tuple(sorted(drawn[:count])), tuple(sorted(other))
        first = second = dates[int(generator.integers(len(dates)))]
        if self.settings.dates != "one" and len(dates) > 1:
            second = dates[(dates.index(first) + int(generator.integers(1, len(dates)))) % len(dates)]
        return (first,), (second,)

    def _days_of(self, views: Sequence[Dates]) -> Tensor | None:
        if not self.settings.series:
            return None
        days = torch.zeros(len(views), self.settings.series)
        for row, dates in zip(days, views, strict=True):
            row[: len(dates)] = torch.tensor([self._days[date] for date in dates])
        return days

    def _views(self, generator: np.random.Generator, height: int, width: int) -> tuple[ViewGeometry, ViewGeometry]:
        s = self.settings
        low, high = np.log(s.scale_range)
        sides = [
            max(min(round(s.size / float(np.exp(generator.uniform(low, high)))), height, width), 1) for _ in range(2)
        ]
        together = int(np.ceil(np.sqrt(s.smallest_overlap) * min(sides)))
        starts = []
        for size in (height, width):
            start = int(generator.integers(size - sides[0] + 1))
            lowest, highest = max(0, start + together - sides[1]), min(size - sides[1], start + sides[0] - together)
            starts.append((start, int(generator.integers(lowest, highest + 1))))
        turns = generator.uniform(size=(2, 3)) < (0.5 if s.mirror else 0.0)
        first, second = (
            ViewGeometry(
                row=starts[0][number],
                col=starts[1][number],
                side=sides[number],
                size=s.size,
                upside_down=bool(turns[number, 0]),
                sideways=bool(turns[number, 1]),
                transposed=bool(turns[number, 2]),
            )
            for number in range(2)
        )
        return first, second

    def _usable(self, dates: tuple[Dates, Dates], pixels: Points) -> NDArray[np.bool_]:
        """Which pixels (n, 2) of the image are valid and free of cloud at a date of each view: bool (n,)."""
        rows, cols = (pixels[:, axis].astype(np.intp) for axis in range(2))
        top, left = int(rows.min()), int(cols.min())
        window = Window(row=top, col=left, height=int(rows.max()) - top + 1, width=int(cols.max()) - left + 1)
        usable = np.ones(len(pixels), np.bool_)
        for view in dict.fromkeys(dates):
            usable &= np.any([self._good(date, window)[rows - top, cols - left] for date in view], axis=0)
        return usable

    def _good(self, date: int, window: Window) -> NDArray[np.bool_]:
        good = self.cache.valid(date, window).copy()
        if self._avoided or self.settings.avoid_unlabelled:
            label = self.cache.label(date, window)
            good &= ~np.isin(label, self._avoided)
            if self.settings.avoid_unlabelled and self.cache.entries[date].labelled:
                good &= label != IGNORE
        return good

    def _cut(self, dates: Dates, view: ViewGeometry) -> Tensor:
        if not self.settings.series:
            return self._cut_date(dates[0], view)
        cuts = torch.stack([self._cut_date(date, view) for date in dates])
        return functional.pad(cuts, (0,) * 7 + (self.settings.series - len(dates),))

    def _cut_date(self, date: int, view: ViewGeometry) -> Tensor:
        window = self.cache.image(date, view.window)
        taken = window if self._channels is None else window[self._channels]
        valid = self.cache.valid(date, view.window)
        return view.cut(torch.from_numpy(np.ascontiguousarray(taken)), torch.from_numpy(np.ascontiguousarray(valid)))


def _shown(images: Tensor, points: Tensor) -> Tensor:
    """Whether both views of a place show the ground at their points (2 N, P): bool (N, P).

    A pixel that is valid in the image may be lost in a view, where it is resampled among others that are not.
    """
    valid = valid_pixels(images.flatten(0, -4))
    at_any_date = valid.reshape(len(images), -1, *valid.shape[1:]).any(dim=1)
    first, second = at_points(at_any_date, points).chunk(2)
    return first & second
