"""A share of the labelled places of series."""

from __future__ import annotations

from collections.abc import Sequence

from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.series import series_of
from satsqueeze.data.splits.label_share import share_of_labels, with_labels


def share_of_places(cache: PackedCache, ids: Sequence[str], *, share: float, seed: int) -> tuple[str, ...]:
    """All dates of some of the places; see :func:`satsqueeze.data.splits.label_share.share_of_labels`.

    A place counts by the classes that its best labelled date shows, the first of them among equals.

    Args:
        cache: dates with labels.
        ids: dates to choose from.
        share: of the labelled places.
        seed: of the draw.

    Returns:
        Dates, sorted.

    Raises:
        SettingsError, SplitError: as ``share_of_labels``.
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
    """
    best = {
        max((cache.entries[position] for position in one.positions), key=lambda entry: sum(entry.class_pixels)).id: one
        for one in series_of(cache, ids)
    }
    drawn = share_of_labels(cache, tuple(best), share=share, seed=seed)
    return tuple(sorted(cache.entries[position].id for name in drawn for position in best[name].positions))


def places_with_labels(cache: PackedCache, ids: Sequence[str]) -> tuple[str, ...]:
    """All dates, in their order, of those places of which a date holds a labelled pixel.

    Raises:
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
    """
    labelled = set(with_labels(cache, ids))
    if not labelled:
        return ()
    names = ({cache.entries[position].id for position in one.positions} for one in series_of(cache, ids))
    kept = {name for place in names if place & labelled for name in place}
    return tuple(name for name in ids if name in kept)
