"""Training, validation and test images that are told apart by their names."""

from __future__ import annotations

from collections.abc import Sequence

from satsqueeze.core.errors import SplitError
from satsqueeze.data.cache.packed import CacheEntry
from satsqueeze.data.splits.split import PARTS, ThreeWaySplit


def named_split(entries: Sequence[CacheEntry]) -> ThreeWaySplit:
    """The parts that names state: ``<source>/train_...``, ``.../validation_...`` and ``.../test_...``.

    Raises:
        SplitError: a name without a part, an empty part, or a group with images in two parts.
    """
    members: dict[str, list[str]] = {part: [] for part in PARTS}
    homes: dict[str, str] = {}
    for entry in entries:
        part = entry.id.rpartition("/")[2].partition("_")[0]
        if part not in members:
            raise SplitError(
                f"the name {entry.id} states no part; expected train_..., validation_... or test_..., as 'satsqueeze "
                "landcover' and 'satsqueeze mosaic' write them"
            )
        members[part].append(entry.id)
        for group in entry.groups:
            if homes.setdefault(group, part) != part:
                raise SplitError(f"{group} has images in {homes[group]} and in {part}; keep each place in one part")
    empty = [part for part, ids in members.items() if not ids]
    if empty:
        raise SplitError(f"there is no image to be {' or '.join(empty)} among {len(entries)}; write the data set anew")
    return ThreeWaySplit(**{part: tuple(ids) for part, ids in members.items()})
