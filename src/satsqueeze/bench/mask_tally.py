"""Scores of masks on a data set, counted image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.metrics import CalibrationError, SegmentationMetrics
from satsqueeze.data.dataset import Dataset, Item
from satsqueeze.flight.runtime import Prediction

BINARY = ("background", "foreground")


@dataclass(frozen=True, kw_only=True)
class ClassScheme:
    """How the classes of a package and of a data set are compared.

    Equal class lists are compared class by class; different ones are both reduced to foreground against the rest.
    """

    classes: tuple[str, ...]
    """Compared classes."""
    foreground: tuple[int, ...]
    """Positive in the headline score; none where it is a mean over the classes."""
    truth: NDArray[np.uint8]
    """(256,) lookup from label values to compared classes; 255 stays 255."""
    predicted: NDArray[np.uint8]
    """(256,) lookup from the package's class values."""

    @property
    def is_binary(self) -> bool:
        """Whether both sides were reduced to foreground against the rest."""
        return self.classes == BINARY


class Decider(Protocol):
    """What decides on pixels: an opened package."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class value."""
        ...

    @property
    def foreground(self) -> tuple[int, ...]:
        """Class values that count as positive."""
        ...


def compare_classes(model: Decider, dataset: Dataset) -> ClassScheme:
    """The scheme in which a package can be scored on a data set.

    Raises:
        LabelError: one of them has no foreground to reduce to.
    """
    same = np.arange(256, dtype=np.uint8)
    if model.classes == dataset.classes and model.foreground == dataset.foreground:
        return ClassScheme(classes=model.classes, foreground=model.foreground, truth=same, predicted=same)
    if not model.foreground or not dataset.foreground:
        raise LabelError(
            f"the package has the classes {', '.join(model.classes)} and the data set {', '.join(dataset.classes)}: "
            "they can only be compared as foreground against the rest, but one of them states no foreground. State "
            "'foreground' in the card"
        )
    return ClassScheme(
        classes=BINARY, foreground=(1,), truth=_reduce(dataset.foreground), predicted=_reduce(model.foreground)
    )


@dataclass
class MaskTally:
    """Scores of masks so far, and what was left out."""

    scheme: ClassScheme
    sources: dict[str, SegmentationMetrics] = field(default_factory=dict)
    quarantined: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics = self._empty()
        self.calibration = CalibrationError()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record: global scores flat, and by group and source."""
        record = self.metrics.to_dict()
        error = self.calibration.value()
        sources = {name: metrics.to_dict() for name, metrics in sorted(self.sources.items())}
        return {
            **record,
            "classes": list(self.scheme.classes),
            "calibration_error": None if np.isnan(error) else error,
            "sources": {name: {k: v for k, v in found.items() if k != "groups"} for name, found in sources.items()},
            "quarantined": self.quarantined,
        }

    def count(self, item: Item, label: NDArray[np.uint8], found: Prediction, foreground: Sequence[int]) -> None:
        """Take in what a package with these foreground classes says of an image.

        Args:
            item: tells its name, groups and source.
            label: uint8 (H, W), 255 = ignore.
            found: mask and probabilities.
            foreground: class values of the package that count as positive.

        Raises:
            LabelError: shapes or class values that do not fit.
        """
        if label.shape != found.mask.shape:
            raise LabelError(
                f"{item.id} has a label of {label.shape} px and a mask of {found.mask.shape}; expected one"
            )
        # Where the package sees no data, it says nothing that could be right or wrong.
        truth = np.where(found.mask == IGNORE, np.uint8(IGNORE), self.scheme.truth[label])
        predicted = self.scheme.predicted[found.mask]
        group = " + ".join(item.groups) or item.source
        source = self.sources.get(item.source) or self._empty()
        # The source first: it refuses what does not fit before anything is counted.
        source.update(truth, predicted, image=item.id, group=group)
        self.sources[item.source] = source
        self.metrics.update(truth, predicted, image=item.id, group=group)
        if not self.scheme.foreground:
            self.calibration.update(truth, found.probabilities)
            return
        positive = found.probabilities[list(foreground)].sum(axis=0)
        binary = np.where(truth == IGNORE, IGNORE, np.isin(truth, self.scheme.foreground)).astype(np.uint8)
        self.calibration.update(binary, np.stack([1 - positive, positive]))

    def _empty(self) -> SegmentationMetrics:
        return SegmentationMetrics(len(self.scheme.classes), self.scheme.foreground)


def _reduce(foreground: Sequence[int]) -> NDArray[np.uint8]:
    table = np.isin(np.arange(256), list(foreground)).astype(np.uint8)
    table[IGNORE] = IGNORE
    return table
