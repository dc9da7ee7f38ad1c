"""Reading every file of a data set and reporting every problem, with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from satsqueeze.core.errors import BandError, DataError, GridError, LabelError, RadiometryError, RasterError
from satsqueeze.data.cache.packed import SEGMENTATION, class_counts, told_types
from satsqueeze.data.dataset import Dataset
from satsqueeze.data.items.item import Item
from satsqueeze.data.items.reader import open_item, read_label, read_targets, require_mask_in_place

_REMEDIES: tuple[tuple[type[DataError], str], ...] = (
    (RasterError, "fetch or write the file again, or remove it"),
    (BandError, "state 'bands' in dataset.yaml, or write the missing bands"),
    (GridError, "bring image, bands and mask onto one grid"),
    (LabelError, "add or correct the mask, or state 'label_map' in dataset.yaml"),
    (RadiometryError, "state 'radiometry' in dataset.yaml"),
)
_OTHER_REMEDY = "correct the file or its card"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong with a file, or with the data set as a whole."""

    file: str
    problem: str
    remedy: str
    severity: Literal["error", "warning"] = "error"
    """A warning does not keep the file from being used."""


@dataclass(frozen=True, kw_only=True)
class _Facts:
    dtype: str = ""
    size: tuple[int, int] | None = None
    class_pixels: tuple[int, ...] = ()


def check(dataset: Dataset, *, on_progress: Callable[[int, int], None] | None = None) -> tuple[Problem, ...]:
    """Read every image and label; never stops at the first problem.

    Args:
        dataset: what to check.
        on_progress: told the number of items done and of all items.

    Returns:
        All problems, by file; empty where everything is in order.
    """
    problems: list[Problem] = []
    facts: dict[str, _Facts] = {}
    for number, item in enumerate(dataset.items, 1):
        problems += _image_problems(item, dataset, facts)
        problems += _label_problems(item, dataset, facts)
        if on_progress:
            on_progress(number, len(dataset.items))
    problems += _whole_problems(dataset, facts)
    return tuple(problems)


def failed(problems: Sequence[Problem]) -> bool:
    """Whether any problem is an error."""
    return any(problem.severity == "error" for problem in problems)


def _image_problems(item: Item, dataset: Dataset, facts: dict[str, _Facts]) -> Iterator[Problem]:
    file = item.images[0] if item.images else item.id
    try:
        with open_item(item, dataset.bands) as reader:
            facts[item.id] = _Facts(dtype=reader.dtype, size=(reader.height, reader.width))
            raster = reader.read()
            broken = ~np.isfinite(reader.digital()[0]).all(axis=0)
    except DataError as error:
        yield _problem(file, error)
        return
    if not raster.valid.any():
        yield Problem(
            file=file,
            problem="no pixel is valid: all are nodata, NaN or saturated; expected at least one",
            remedy="leave the image out, or correct 'nodata' in its card; packing quarantines it",
        )
    elif broken.any():
        yield Problem(
            file=file,
            problem=f"{int(broken.sum())} of {broken.size} pixels are NaN or infinite; expected numbers",
            remedy="nothing, if they mean nodata: such pixels are never used",
            severity="warning",
        )


def _label_problems(item: Item, dataset: Dataset, facts: dict[str, _Facts]) -> Iterator[Problem]:
    if item.card.label_kind in ("path", "json"):
        try:
            read_targets(item)
        except DataError as error:
            yield _problem(item.label or item.images[0], error)
        return
    if item.card.label_kind != "mask" or (item.label is None and item.label_expected is None):
        return
    try:
        with open_item(item) as reader:
            shape = (reader.height, reader.width)
            place = reader.georeference
    except DataError:
        shape, place = None, None
    try:
        label = read_label(item, shape)
        require_mask_in_place(item, place, label.shape)
        known = facts.get(item.id, _Facts())
        facts[item.id] = replace(known, class_pixels=class_counts(label, len(dataset.classes)))
        if item.card.needs_class:
            read_targets(item)
    except DataError as error:
        yield _problem(item.label or item.images[0], error)
        return
    if not any(facts[item.id].class_pixels):
        yield Problem(
            file=item.label or item.images[0],
            problem="its mask gives no pixel a class: all are 255; expected at least one",
            remedy="nothing, if the image is to be learnt from without labels; else correct the mask or 'label_map'",
            severity="warning",
        )


def _unlabelled(source: str, items: Sequence[Item]) -> Iterator[Problem]:
    card = items[0].card
    if card.label_kind == "mask" and card.labels and not any(item.labelled for item in items):
        yield Problem(
            file=source,
            problem=f"none of its {len(items)} images has a mask; expected paths like {card.labels[0]}",
            remedy="nothing, if they are to be learnt from without labels; else put masks there, or correct 'labels'",
            severity="warning",
        )


def _whole_problems(dataset: Dataset, facts: dict[str, _Facts]) -> Iterator[Problem]:
    for source in dataset.sources:
        items = [item for item in dataset.items if item.source == source]
        yield from _unlabelled(source, items)
        counts = Counter(facts[item.id].dtype for item in items if item.id in facts and facts[item.id].dtype)
        if len(counts) > 1:
            usual = counts.most_common(1)[0][0]
            odd = next(item for item in items if facts.get(item.id, _Facts()).dtype not in ("", usual))
            yield Problem(
                file=odd.images[0],
                problem=f"images of '{source}' have different data types: {told_types(counts)}; expected one",
                remedy="write all images with the same type and scale",
            )
    if dataset.idle_labels:
        first, *others = dataset.idle_labels
        yield Problem(
            file=first,
            problem=f"the image of this mask is missing{f', and those of {len(others)} others' if others else ''}",
            remedy="nothing, if the image was left out on purpose; else put it there, or correct 'images' or 'labels'",
            severity="warning",
        )
    yield from _other_sizes(dataset, facts)
    yield from _absent_foreground(dataset, facts)
    totals = [known.class_pixels for known in facts.values() if known.class_pixels]
    if totals:
        present = np.flatnonzero(np.sum(totals, axis=0))
        if len(present) < 2:
            found = ", ".join(dataset.classes[value] for value in present) or "none"
            yield Problem(
                file=dataset.sources[0],
                problem=f"the labels of {len(totals)} images hold one class only ({found}); expected at least two",
                remedy="add images of the other classes, or correct 'label_map'",
            )


def _other_sizes(dataset: Dataset, facts: dict[str, _Facts]) -> Iterator[Problem]:
    """Whole images that a classifier cannot take, since they are not as large as most."""
    if dataset.task == SEGMENTATION:
        return
    counts = Counter(known.size for known in facts.values() if known.size)
    usual = counts.most_common(1)[0][0] if counts else (0, 0)
    for item in dataset.items:
        size = facts.get(item.id, _Facts()).size
        if size and size != usual:
            yield Problem(
                file=item.images[0],
                problem=f"it has {size[0]} x {size[1]} px, {counts[usual]} images have {usual[0]} x {usual[1]}; a "
                "classifier takes one size",
                remedy="crop or resample it to that size, or leave it out",
            )


def _absent_foreground(dataset: Dataset, facts: dict[str, _Facts]) -> Iterator[Problem]:
    totals = np.sum([known.class_pixels for known in facts.values() if known.class_pixels], axis=0)
    names = [dataset.classes[value] for value in dataset.foreground]
    if names and np.count_nonzero(totals) > 1 and not totals[list(dataset.foreground)].any():
        yield Problem(
            file=dataset.sources[0],
            problem=f"no image holds any foreground ({', '.join(names)}); expected some",
            remedy="nothing, if none is expected here; else correct 'foreground' or 'label_map'",
            severity="warning",
        )


def _problem(file: str, error: DataError) -> Problem:
    remedy = next((text for kind, text in _REMEDIES if isinstance(error, kind)), _OTHER_REMEDY)
    return Problem(file=file, problem=str(error), remedy=remedy)
