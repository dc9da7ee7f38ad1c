"""One item as the packed cache keeps it: pixels, and its mask or the classes of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import DataError, LabelError
from satsqueeze.core.raster import Raster
from satsqueeze.data.cache.packed import CacheEntry, class_counts, quantise
from satsqueeze.data.items.item import Item
from satsqueeze.data.items.reader import open_item, read_sample, read_targets


@dataclass(frozen=True, kw_only=True)
class Packed:
    """An item, ready to be written."""

    entry: CacheEntry
    """With offset 0: its place in the files is the writer's to know."""
    image: NDArray[np.int16]
    """Stored values (C, H, W)."""
    label: NDArray[np.uint8] | None
    """(H, W) classes, 255 = ignore; None where labels belong to whole images."""


def packed_mask(item: Item, bands: Sequence[str], classes: int) -> Packed | DataError:
    """An item with its mask, or why it cannot be used."""
    try:
        sample = read_sample(item, bands)
    except DataError as error:
        return error
    raster, label = sample.raster, sample.label
    entry = _entry(item, raster, sample.gsd_m, counts=class_counts(label, classes), labelled=item.labelled)
    return _nothing_valid(item, raster) or Packed(
        entry=replace(entry, dtype=sample.dtype),
        image=quantise(raster.values, raster.valid),
        label=label,
    )


def packed_targets(item: Item, bands: Sequence[str], classes: int) -> Packed | DataError:
    """An item with the classes of the whole image, or why it cannot be used."""
    try:
        targets = read_targets(item)
        with open_item(item, bands) as reader:
            raster = reader.read()
            gsd_m, dtype = reader.gsd_m or item.card.gsd_m, reader.dtype
    except DataError as error:
        return error
    if item.card.task == "classification" and len(targets) != 1:
        return LabelError(f"{item.images[0]} has {len(targets)} classes that count; expected one. Leave the image out")
    counts = tuple(int(value in targets) for value in range(classes))
    entry = _entry(item, raster, gsd_m, counts=counts, labelled=True)
    return _nothing_valid(item, raster) or Packed(
        entry=replace(entry, targets=targets, dtype=dtype), image=quantise(raster.values, raster.valid), label=None
    )


def _nothing_valid(item: Item, raster: Raster) -> DataError | None:
    if raster.valid.any():
        return None
    return DataError(
        f"{item.images[0]}: no pixel is valid (all nodata, NaN or saturated); expected at least one. Leave the image "
        "out, or check 'nodata' in its card"
    )


def _entry(item: Item, raster: Raster, gsd_m: float | None, *, counts: tuple[int, ...], labelled: bool) -> CacheEntry:
    height, width = raster.valid.shape
    return CacheEntry(
        id=item.id,
        source=item.source,
        groups=item.groups,
        stratum=item.stratum,
        role=item.role,
        height=height,
        width=width,
        offset=0,
        labelled=labelled,
        class_pixels=counts,
        valid_pixels=int(raster.valid.sum()),
        gsd_m=None if gsd_m is None else round(gsd_m, 3),
        provenance=raster.provenance,
        part=item.part,
        series=item.series,
        date=item.date,
    )
