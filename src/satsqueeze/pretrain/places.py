"""Which items of a cache show the same ground at several dates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from satsqueeze.core.errors import DataError, GridError, SettingsError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.series import series_of
from satsqueeze.pretrain.view_settings import ViewSettings


def places_of(cache: PackedCache, ids: Sequence[str], settings: ViewSettings) -> tuple[tuple[int, ...], ...]:
    """Positions in the cache of the dates of each place.

    Args:
        cache: images.
        ids: those to use.
        settings: how names tell places, and which dates are wanted. Without an expression, the place is the series that
            the data set's card states, if any. With ``pairs``, and of series, places of one date are left out.

    Raises:
        DataError: no image, one that is not in the cache, or, of series, one whose place or date is unknown.
        SettingsError: the expression finds no place in a name, or pairs of dates are asked for and no place has two.
        GridError: the images of a place differ in size.
    """
    if not ids:
        raise DataError("there is no image to learn from; name a folder with images (labels are not needed)")
    if settings.series:
        return _series(cache, ids)
    members: dict[str, list[int]] = {}
    for item_id in ids:
        position = cache.position(item_id)
        place = _place(item_id, settings.place) if settings.place else cache.entries[position].series or item_id
        members.setdefault(place, []).append(position)
    if settings.dates == "pairs":
        members = {place: dates for place, dates in members.items() if len(dates) > 1}
    if not members:
        raise SettingsError(
            f"pairs of dates are asked for, but with place {settings.place!r} each of the {len(ids)} images is the "
            "only date of its place; set dates to one, or views.place to an expression that finds in an item's name "
            "what it shows"
        )
    for place, dates in members.items():
        sizes = {(cache.entries[date].height, cache.entries[date].width) for date in dates}
        if len(sizes) > 1:
            raise GridError(
                f"the dates of place {place} have {len(sizes)} sizes ({', '.join(map(str, sorted(sizes)))}); bring "
                "them to one grid, or mend 'place', which may join what does not belong together"
            )
    return tuple(tuple(dates) for dates in members.values())


def _series(cache: PackedCache, ids: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    several = tuple(one.positions for one in series_of(cache, ids) if len(one) > 1)
    if not several:
        raise SettingsError(
            f"views of series share no date, but each of the {len(ids)} images is the only date of its place; set "
            "series to 0, or mend 'series' in dataset.yaml"
        )
    return several


def _place(item_id: str, expression: str) -> str:
    found = re.search(expression, item_id)
    place = None if found is None else found.group(1)
    if place is None:  # the part in parentheses may be one of several alternatives
        raise SettingsError(f"the expression {expression!r} finds no place in the name {item_id!r}; mend 'place'")
    return str(place)
