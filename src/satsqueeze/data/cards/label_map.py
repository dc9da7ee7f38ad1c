"""Values of masks as classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.cards.card import DatasetCard


def map_labels(raw: NDArray[Any], card: DatasetCard, *, where: str) -> NDArray[np.uint8]:
    """Raw label values (H, W) as classes, 255 = ignore; NaN is ignored.

    Raises:
        LabelError: values that the card does not know; the message lists them.
    """
    unmeasured = None
    if np.issubdtype(raw.dtype, np.floating):
        unmeasured = ~np.isfinite(raw)
        raw = _integral(raw, unmeasured, where)
    table = label_table(card)
    values, places, inverse = _indexed(raw)
    unknown = [int(value) for value in values if int(value) not in table]
    if card.others is not None:
        table = {**table, **dict.fromkeys(unknown, card.others)}
    elif unknown:
        raise LabelError(
            f"{where} holds the label value(s) {_some(unknown)}; expected {_some(sorted(table))}. Map them to classes "
            f"with 'label_map' in dataset.yaml, such as label_map: {{{unknown[0]}: {_example(card, unknown[0])}}} "
            f"(classes: {_classes_text(card)}, 255 = ignore)"
        )
    lookup = np.zeros(int(places.max(initial=0)) + 1, dtype=np.uint8)
    lookup[places] = [table[int(value)] for value in values]
    mapped: NDArray[np.uint8] = lookup[inverse].reshape(raw.shape)
    if unmeasured is not None:
        mapped[unmeasured] = IGNORE
    return mapped


def label_table(card: DatasetCard) -> Mapping[int, int]:
    """Raw value -> class of a mask; 255 maps to ignore unless the card says otherwise."""
    mapped = {int(raw): value for raw, value in card.label_map.items() if not isinstance(raw, str)}
    table = mapped or {value: value for value in range(len(card.classes))}
    table.setdefault(IGNORE, IGNORE)
    return table if card.ignore is None else {**table, card.ignore: IGNORE}


def _indexed(raw: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Values that occur, their places in a lookup table, and the place of every pixel."""
    if raw.dtype == np.uint8:
        values = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
        return values, values, raw
    values, inverse = np.unique(raw, return_inverse=True)
    return values, np.arange(len(values)), inverse


def _integral(raw: NDArray[Any], unmeasured: NDArray[np.bool_], where: str) -> NDArray[np.int64]:
    """Whole numbers, with any value that occurs where there is none."""
    known = raw[~unmeasured]
    filled = np.where(unmeasured, known[0] if known.size else IGNORE, raw)
    if not (filled == np.rint(filled)).all():
        raise LabelError(
            f"{where} holds fractional labels such as {filled[filled != np.rint(filled)][0]:g}; expected "
            "whole class values. Write the mask as uint8"
        )
    return filled.astype(np.int64)


def _some(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:20])) + (", ..." if len(values) > 20 else "")


def _classes_text(card: DatasetCard) -> str:
    return ", ".join(f"{position} {name}" for position, name in enumerate(card.classes))


def _example(card: DatasetCard, raw: int) -> int:
    return min(1, len(card.classes) - 1) if raw else 0
