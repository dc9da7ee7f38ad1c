"""Pixels of every class in every item, listed once, so that a patch around a class is found without a search."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.files import replacing
from satsqueeze.data.cache.packed import CacheEntry

LOCATIONS_PER_CLASS = 4096
"""Of an item; of more, so many are drawn."""


def write_locations(path: Path, entries: Sequence[CacheEntry], labels: NDArray[np.uint8], classes: int) -> None:
    """Write where each class lies, whole or not at all; class 0 is listed nowhere.

    Args:
        path: of an ``.npz`` file. ``flat``, int32, holds positions within the flattened item, class by class within
            item by item; ``starts``, int64 (items * classes + 1,), where each of these lists begins.
        entries: the items.
        labels: uint8 classes of all pixels, one item after another.
        classes: number of classes.
    """
    with replacing(path) as temporary, temporary.open("wb") as handle:
        starts, flat = _locations(entries, labels, classes)
        np.savez(handle, starts=starts, flat=flat)


def _locations(
    entries: Sequence[CacheEntry], labels: NDArray[np.uint8], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    flat: list[NDArray[np.int32]] = []
    for entry in entries:
        label = labels[entry.offset : entry.offset + entry.pixels]
        flat.extend(_drawn(label, entry, value) for value in range(classes))
    starts = np.concatenate([[0], np.cumsum([len(part) for part in flat])]).astype(np.int64)
    return starts, np.concatenate([np.empty(0, np.int32), *flat])


def _drawn(label: NDArray[np.uint8], entry: CacheEntry, value: int) -> NDArray[np.int32]:
    if not value or not entry.class_pixels[value]:
        return np.empty(0, np.int32)
    places = np.flatnonzero(label == value).astype(np.int32)
    if len(places) <= LOCATIONS_PER_CLASS:
        return places
    generator = np.random.Generator(np.random.Philox(key=[zlib.crc32(entry.id.encode()), value]))
    return np.sort(generator.choice(places, LOCATIONS_PER_CLASS, replace=False))
