"""The dates of one place, out of a cache that keeps every date as an item of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import DataError, GridError, LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import PackedCache, dequantise
from satsqueeze.data.items.acquisition import day_of_year

_MOST_DISAGREEMENT = 0.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """One place at several dates; its T dates are items of a cache."""

    place: str
    """``source/place``."""
    positions: tuple[int, ...]
    """Where its dates stand in the cache, in the order of their names."""
    days: tuple[float, ...]
    """Day of the year of each, counted from 1."""
    height: int
    """Rows of every date, pixels."""
    width: int
    """Columns of every date, pixels."""

    def __len__(self) -> int:
        return len(self.positions)


def series_of(cache: PackedCache, ids: Sequence[str]) -> tuple[Series, ...]:
    """The series that items make up, by place.

    Args:
        cache: images.
        ids: dates to use; others of the same place are left out.

    Raises:
        DataError: no item, one that is no date of a series or whose date is unknown, or one that is not in the cache.
        GridError: the dates of a place differ in size.
    """
    if not ids:
        raise DataError("there is no image to make series of; name some")
    members: dict[str, list[int]] = {}
    for position in sorted(map(cache.position, ids), key=lambda place: cache.entries[place].id):
        entry = cache.entries[position]
        if not entry.series or not entry.date:
            raise DataError(
                f"{entry.id} {'has no date' if entry.series else 'is no date of a series'}; state 'series' and 'date' "
                "in dataset.yaml, such as series: '(p[0-9]+)_d' and date: '{date}', and pack into a new folder"
            )
        members.setdefault(entry.series, []).append(position)
    return tuple(_one(cache, place, positions) for place, positions in sorted(members.items()))


def _one(cache: PackedCache, place: str, positions: Sequence[int]) -> Series:
    entries = [cache.entries[position] for position in positions]
    sizes = sorted({(entry.height, entry.width) for entry in entries})
    if len(sizes) > 1:
        raise GridError(
            f"the dates of {place} have {len(sizes)} sizes ({', '.join(map(str, sizes))}); bring them to one grid, or "
            "mend 'series', which may join what does not belong together"
        )
    days = tuple(day_of_year(entry.date) for entry in entries)
    return Series(place=place, positions=tuple(positions), days=days, height=sizes[0][0], width=sizes[0][1])


def series_images(
    cache: PackedCache, series: Series, dates: Sequence[int] | None = None, window: Window | None = None
) -> NDArray[np.float32]:
    """Reflectance (T, C, h, w) of some dates of a series, 0 where invalid.

    Args:
        cache: images.
        series: a place.
        dates: which of its dates, counted from 0; None for all.
        window: inside of the images; None for all of them.

    Raises:
        GridError: the window leaves the images.
    """
    chosen = [series.positions[date] for date in (range(len(series)) if dates is None else dates)]
    shape = (series.height, series.width) if window is None else (window.height, window.width)
    images = np.empty((len(chosen), len(cache.bands), *shape), np.float32)
    for image, position in zip(images, chosen, strict=True):
        dequantise(cache.stored(position, window), image)
    return images


def series_label(cache: PackedCache, series: Series, window: Window | None = None) -> NDArray[np.uint8]:
    """Classes of a place, uint8 (h, w): what its dates say where they agree; 255 where none says, or they differ.

    A pixel that is nodata or cloud at one date has the label of another.
    """
    return _agreed(cache, series, window)[0]


def require_lasting_labels(cache: PackedCache, series: Sequence[Series]) -> None:
    """Refuse labels that change from date to date, such as those of clouds: a network over dates has one answer.

    Raises:
        LabelError: dates differ in most of the pixels that several of them label.
    """
    compared = differing = 0
    for one in series:
        _, several, differs = _agreed(cache, one, None)
        compared, differing = compared + int(several.sum()), differing + int(differs.sum())
    if differing > _MOST_DISAGREEMENT * compared:
        raise LabelError(
            f"the dates of {len(series)} places differ in {differing} of the {compared} pixels that several of them "
            "label; a series has one label for all dates. Train on single dates, or mend 'series'"
        )


def _agreed(
    cache: PackedCache, series: Series, window: Window | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    return agreed([cache.label(position, window) for position in series.positions])


def agreed(labels: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Common label uint8 (h, w) of dates, where several of them have one, and where those differ; it is 255 there."""
    common = np.full(labels[0].shape, IGNORE, np.uint8)
    several, differs = np.zeros(common.shape, np.bool_), np.zeros(common.shape, np.bool_)
    for label in labels:
        both = (label != IGNORE) & (common != IGNORE)
        several |= both
        differs |= both & (label != common)
        common = np.where(common == IGNORE, label, common)
    common[differs] = IGNORE
    return common, several, differs
