"""Images of a data set with their classes as a package numbers them, read as it flies."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.evaluation import left_out, require_task
from satsqueeze.core.class_metrics import one_hot
from satsqueeze.core.errors import DataError, GridError, LabelError
from satsqueeze.data.dataset import Dataset, Item
from satsqueeze.data.items.reader import read_image, read_targets
from satsqueeze.flight.classifier import BATCH, ClassPrediction, FlightClassifier

_WORKERS = 2
_NAMED = 3
"""Images that a message names."""


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """An image with its classes, in the package's numbering."""

    item: Item
    values: NDArray[np.float32]
    """Reflectance (C, H, W), bands in the package's order."""
    valid: NDArray[np.bool_]
    """(H, W)."""
    classes: tuple[int, ...]


def scored_items(dataset: Dataset, *, ids: Collection[str] | None = None, limit: int | None = None) -> list[Item]:
    """Images to score: those that are not for training only.

    Args:
        dataset: labels of whole images.
        ids: only these, each of which must be there; by default all.
        limit: the first ``limit`` of them.

    Raises:
        DataError: there is none, or one of ``ids`` is not in the data set.
    """
    lacking = sorted(set(ids or ()).difference(item.id for item in dataset.items))
    if lacking:
        named = ", ".join([*lacking[:_NAMED], *(["..."] if len(lacking) > _NAMED else [])])
        raise DataError(
            f"{len(lacking)} of the {len(ids or ())} images asked for are not among the {len(dataset)} of the data "
            f"set: {named}; check the data set, its card, and that the split was made for it"
        )
    items = [item for item in dataset.items if item.role == "evaluate" and (ids is None or item.id in ids)]
    if not items:
        among = "" if ids is None else f" that is one of the {len(ids)} asked for"
        raise DataError(
            f"the data set has no image to score among its {len(dataset)}{among}; check the card, the roles and the "
            "split"
        )
    return items[:limit]


def class_places(model: FlightClassifier, dataset: Dataset) -> tuple[int, ...]:
    """For each class of the data set, its number in the package; classes are matched by name.

    Raises:
        LabelError: labels for another task, or classes that the package does not know.
    """
    require_task(model, dataset)
    known = {name.casefold(): value for value, name in enumerate(model.classes)}
    unknown = [name for name in dataset.classes if name.casefold() not in known]
    if unknown:
        raise LabelError(
            f"the package does not know the class(es) {', '.join(unknown)} of the data set; it knows "
            f"{', '.join(model.classes)}. Map them with 'label_map' in dataset.yaml"
        )
    return tuple(known[name.casefold()] for name in dataset.classes)


def read_images(
    items: Sequence[Item], model: FlightClassifier, places: tuple[int, ...]
) -> Iterator[ScoredImage | dict[str, str]]:
    """Images in order, read ahead by a few threads; for one that cannot be used, what was left out and why.

    See :func:`satsqueeze.bench.evaluation.left_out`.

    Args:
        items: what to read.
        model: says bands and size.
        places: see :func:`class_places`.
    """
    waiting: deque[Future[ScoredImage | dict[str, str]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for item in items:
            waiting.append(pool.submit(_read, item, model, places))
            if len(waiting) > 2 * BATCH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def truth_of(images: Sequence[ScoredImage], classes: int) -> NDArray[np.bool_]:
    """Bool (N, K): the classes of images."""
    truth = np.zeros((len(images), classes), bool)
    for row, image in zip(truth, images, strict=True):
        row[list(image.classes)] = True
    return truth


def decisions_of(found: ClassPrediction, model: FlightClassifier) -> NDArray[np.bool_]:
    """Bool (N, K): what a package decides."""
    return found.classes.astype(bool) if model.is_multi_label else one_hot(found.classes, len(model.classes))


def _read(item: Item, model: FlightClassifier, places: tuple[int, ...]) -> ScoredImage | dict[str, str]:
    try:
        classes = tuple(places[value] for value in read_targets(item))
        if not model.is_multi_label and len(classes) != 1:
            raise LabelError(f"{item.images[0]} has {len(classes)} classes that count; expected one")
        raster = read_image(item, model.bands)
        if raster.valid.shape != model.size:
            height, width = raster.valid.shape
            raise GridError(
                f"{item.images[0]} has {height} x {width} px, the package takes {model.size[0]} x {model.size[1]} px; "
                "crop or resample it"
            )
        if not raster.valid.any():
            raise DataError(f"{item.images[0]}: no pixel is valid (all nodata, NaN or saturated)")
    except (DataError, OSError, MemoryError) as error:
        return left_out(item, error)
    return ScoredImage(item=item, values=raster.values, valid=raster.valid, classes=classes)
