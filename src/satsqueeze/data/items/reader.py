"""Reading items: reflectance, masks mapped to classes, and class lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError, LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference, Raster
from satsqueeze.data.cards.card import DatasetCard
from satsqueeze.data.cards.label_map import map_labels
from satsqueeze.data.filetree import read_bytes
from satsqueeze.data.items.frame_reader import FrameReader, is_array_file, read_label_array
from satsqueeze.data.items.item import Item, read_rule
from satsqueeze.data.scene.digital_reader import DigitalReader
from satsqueeze.data.scene.grid import require_one_place
from satsqueeze.data.scene.raster_file import georeference_of, opened, read_single
from satsqueeze.data.scene.reader import SceneReader, open_scene

__all__ = [
    "Sample",
    "open_item",
    "open_scene",
    "read_image",
    "read_label",
    "read_sample",
    "read_targets",
]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image and its label, as read."""

    raster: Raster
    label: NDArray[np.uint8]
    """(H, W) classes; 255 where unlabelled or invalid."""
    gsd_m: float | None
    """Pixel size in metres: the file's where it says, else the card's; None where neither does."""
    dtype: str
    """Type of the numbers in the image's file."""


def read_image(item: Item, bands: Sequence[str] | None = None) -> Raster:
    """Reflectance of an item.

    Args:
        item: what to read.
        bands: common names, in the order wanted; by default all reflective ones.

    Raises:
        RasterError, BandError, GridError, RadiometryError: see :class:`satsqueeze.data.scene.reader.SceneReader`.
    """
    with open_item(item, bands) as reader:
        return reader.read()


def open_item(item: Item, bands: Sequence[str] | None = None) -> SceneReader | FrameReader:
    """A reader over an item's files."""
    if item.frame is not None:
        return FrameReader(item, bands)
    return SceneReader(DigitalReader(item.images, read_rule(item.card), want=bands, file_bands=item.file_bands))


def read_label(
    item: Item, shape: tuple[int, int] | None = None, *, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """The mask of an item, mapped to classes.

    Args:
        item: what to read.
        shape: rows and columns of the image; None to take the mask's own. Needed for constant labels.
        valid: (H, W) validity of the image; invalid pixels become 255.

    Returns:
        uint8 (H, W), 255 = ignore.

    Raises:
        LabelError: no label, or values outside the card.
        GridError: image and mask differ in size.
    """
    if item.card.label_kind == "constant" and shape is not None:
        label = np.full(shape, item.card.constant_label, dtype=np.uint8)
    elif item.label is None or item.card.label_kind != "mask":
        raise LabelError(
            f"{item.images[0]} has no mask; expected {item.label_expected or 'one'}. Add the file, or leave the image "
            "out, or list its folder as unlabelled (label_kind: none)"
        )
    else:
        raw = _raw_label(item, item.label)
        if shape is not None and raw.shape != shape:
            raise GridError(
                f"{item.label} has {raw.shape[0]} x {raw.shape[1]} px but its image {item.images[0]} has {shape[0]} x "
                f"{shape[1]} px; expected equal sizes. Crop or resample one of them"
            )
        label = map_labels(raw, item.card, where=item.label)
    return label if valid is None else np.where(valid, label, np.uint8(IGNORE))


def _raw_label(item: Item, path: str) -> NDArray[Any]:
    return read_label_array(item) if is_array_file(path) else read_single(path, item.card.label_band)


def require_mask_in_place(item: Item, place: Georeference | None, shape: tuple[int, ...]) -> None:
    """Check that a mask of the size (H, W) of its image lies where that lies, as far as both files tell.

    Raises:
        GridError: another coordinate system, or more than a pixel aside.
    """
    if place is None or item.label is None or item.card.label_kind != "mask" or is_array_file(item.label):
        return
    with opened(item.label) as handle:
        other = georeference_of(handle)
    if other is not None:
        require_one_place(other, place, shape, names=(item.label, f"its image {item.images[0]}"))


def read_sample(item: Item, bands: Sequence[str]) -> Sample:
    """Image and label together; unlabelled items get a label of 255 everywhere.

    Raises:
        LabelError: the item's mask is missing although others of its source have one, or does not fit.
        GridError: the mask has another size than the image, or lies elsewhere.
    """
    with open_item(item, bands) as reader:
        raster, place = reader.read(), reader.georeference
        gsd_m, dtype = reader.gsd_m or item.card.gsd_m, reader.dtype
    shape = (raster.values.shape[1], raster.values.shape[2])
    label = np.full(shape, IGNORE, np.uint8)
    if item.labelled or item.label_expected:
        label = read_label(item, shape, valid=raster.valid)
        require_mask_in_place(item, place, shape)
    return Sample(raster=raster, label=label, gsd_m=gsd_m, dtype=dtype)


def read_targets(item: Item) -> tuple[int, ...]:
    """Classes of a whole image, for classification and multi-label cards; sorted, without ignored ones.

    With a multi-label card of masks, such as BigEarthNet v2 with its reference maps, an image has the classes that
    cover the least share of it that the card asks for.

    Raises:
        LabelError: no label, names outside the card, or none that counts where the card needs one.
    """
    targets = _targets(item)
    if item.card.needs_class and not targets:
        raise LabelError(
            f"{item.label or item.images[0]} states none of the {len(item.card.classes)} classes of card "
            f"'{item.card.name}', which leaves such images out; state 'needs_class: false' to keep them as images "
            "without a class"
        )
    return targets


def _targets(item: Item) -> tuple[int, ...]:
    if item.card.label_kind == "path":
        return _classes_of([item.class_name], item)
    if item.card.label_kind == "mask" and item.card.task == "multi-label":
        return _classes_covering(read_label(item), item.card)
    if item.card.label_kind != "json" or item.label is None:
        raise LabelError(f"{item.id} has no class list; expected {item.label_expected or 'a classification card'}")
    try:
        names = json.loads(read_bytes(item.label))["labels"]
    except (ValueError, KeyError, TypeError) as error:
        raise LabelError(f"{item.label} holds no list 'labels' ({error}); fetch the file again") from error
    if not isinstance(names, list):
        raise LabelError(f"{item.label} holds no list 'labels', but {str(names)[:60]}; write {{\"labels\": [...]}}")
    return _classes_of([str(name) for name in names], item)


def _classes_covering(label: NDArray[np.uint8], card: DatasetCard) -> tuple[int, ...]:
    """Classes of a mask (H, W) that cover the least share of its pixels that count."""
    pixels = np.bincount(label[label != IGNORE], minlength=len(card.classes))
    shares = pixels / max(pixels.sum(), 1)
    return tuple(int(value) for value in np.flatnonzero((pixels > 0) & (shares >= card.least_share)))


def _classes_of(names: Sequence[str], item: Item) -> tuple[int, ...]:
    by_name = {name.casefold(): position for position, name in enumerate(item.card.classes)}
    by_name |= {str(raw).casefold(): value for raw, value in item.card.label_map.items()}
    unknown = [name for name in names if name.casefold() not in by_name]
    if unknown:
        raise LabelError(
            f"{item.label or item.images[0]} names the class(es) {', '.join(unknown)}; expected some of "
            f"{', '.join(item.card.classes)}"
        )
    return tuple(sorted({by_name[name.casefold()] for name in names} - {IGNORE}))
