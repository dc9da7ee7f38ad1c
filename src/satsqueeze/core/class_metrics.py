"""Streaming metrics of decisions on whole images, one class each or any number; framework-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import LabelError, SettingsError
from satsqueeze.core.metrics import CalibrationError


@dataclass(frozen=True, kw_only=True)
class DecisionScores:
    """Scores of one class, or averages over classes; fractions in [0, 1], NaN where undefined."""

    precision: float
    recall: float
    f1: float
    f2: float
    """F-score that counts recall twice as much as precision."""


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """Sum over falling score thresholds of precision times the gain in recall; NaN without a positive.

    Equal scores are one threshold. No interpolation, as in Zhu 2004 and scikit-learn.

    Args:
        truth: (N,), True = positive.
        scores: (N,), higher = more likely positive.
    """
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last_of_equal = np.append(np.diff(scores[order]) != 0, True)
    hits, seen = hits[last_of_equal], (np.flatnonzero(last_of_equal) + 1)
    return float((np.diff(hits, prepend=0) * hits / seen).sum() / positives)


@dataclass
class ClassMetrics:
    """Accumulates decisions on whole images; keeps a score per image and class, for average precision.

    Averages: micro over all decisions; macro over the classes that occur in the truth, alike; weighted over them by how
    often they do. A class that occurs but is never predicted has precision 0; one that neither occurs nor is predicted
    is undefined and counts nowhere.

    Args:
        classes: names, K of them.
        multi_label: whether an image has any number of classes instead of one.

    Raises:
        SettingsError: fewer than 2 classes, or 1 where an image has any number.
    """

    classes: tuple[str, ...]
    multi_label: bool = False
    _truth: list[NDArray[np.bool_]] = field(default_factory=list, init=False, repr=False)
    _probabilities: list[NDArray[np.float32]] = field(default_factory=list, init=False, repr=False)
    _predicted: list[NDArray[np.bool_]] = field(default_factory=list, init=False, repr=False)
    _calibration: CalibrationError = field(default_factory=CalibrationError, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.classes) < (1 if self.multi_label else 2):
            raise SettingsError(f"metrics need at least 2 classes, or 1 that may be absent; got {self.classes}")

    def update(
        self,
        truth: NDArray[Any],
        probabilities: NDArray[np.floating[Any]],
        *,
        predicted: NDArray[Any] | None = None,
    ) -> None:
        """Add images.

        Args:
            truth: (N, K), nonzero for the classes of each image.
            probabilities: (N, K); sum to 1 over K unless multi-label.
            predicted: (N, K), nonzero for the classes decided on; by default the most probable class, or those of at
                least 0.5.

        Raises:
            LabelError: shapes that do not fit, probabilities that are NaN, or not one class for each image.
        """
        shape = (len(truth), len(self.classes))
        if truth.shape != shape or probabilities.shape != shape or (predicted is not None and predicted.shape != shape):
            found = [array.shape for array in (truth, probabilities, predicted) if array is not None]
            raise LabelError(f"truth, probabilities and decisions must be (N, {shape[1]}) alike, got {found}")
        if np.isnan(probabilities).any():
            raise LabelError("probabilities are NaN; expected numbers. Check that the images hold reflectance")
        actual = truth.astype(bool)
        chances = probabilities.astype(np.float32)
        if predicted is None:
            predicted = chances >= 0.5 if self.multi_label else one_hot(chances.argmax(axis=1), shape[1])
        decided = predicted.astype(bool)
        if not self.multi_label and not ((actual.sum(axis=1) == 1).all() and (decided.sum(axis=1) == 1).all()):
            raise LabelError("every image has one class and one decision; got images with none or several")
        self._truth.append(actual)
        self._probabilities.append(chances)
        self._predicted.append(decided)
        self._calibrate(actual, chances)

    @property
    def images(self) -> int:
        """Images so far."""
        return sum(map(len, self._truth))

    @property
    def accuracy(self) -> float:
        """Share of images whose decisions are all right; NaN without images."""
        truth, predicted = self._all(self._truth), self._all(self._predicted)
        return float((truth == predicted).all(axis=1).mean()) if len(truth) else float("nan")

    @property
    def support(self) -> NDArray[np.int64]:
        """Images of each class (K,)."""
        support: NDArray[np.int64] = self._all(self._truth).sum(axis=0)
        return support

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts (K, K), rows truth, columns decision; for single-label."""
        truth, predicted = self._all(self._truth), self._all(self._predicted)
        counts: NDArray[np.int64] = truth.T.astype(np.int64) @ predicted.astype(np.int64)
        return counts

    def per_class(self) -> tuple[DecisionScores, ...]:
        """Scores of each class."""
        hits, predicted, actual = self._counts()
        return tuple(scores_from(hit, found, real) for hit, found, real in zip(hits, predicted, actual, strict=True))

    def micro(self) -> DecisionScores:
        """Scores over all decisions."""
        hits, predicted, actual = self._counts()
        return scores_from(int(hits.sum()), int(predicted.sum()), int(actual.sum()))

    def macro(self) -> DecisionScores:
        """Mean over the classes that occur."""
        return self._mean((self.support > 0).astype(np.float64))

    def weighted(self) -> DecisionScores:
        """Mean over the classes by how often they occur."""
        return self._mean(self.support.astype(np.float64))

    def average_precisions(self) -> NDArray[np.float64]:
        """Average precision of each class (K,), NaN for one that does not occur."""
        truth, chances = self._all(self._truth), self._all(self._probabilities)
        return np.array([average_precision(truth[:, k], chances[:, k]) for k in range(len(self.classes))])

    def calibration_error(self) -> float:
        """Expected calibration error with 15 bins: of the decided class, or of all classes' presence if multi-label."""
        return self._calibration.value()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record, undefined values None: ``accuracy``, ``precision_weighted`` and so on for each average,
        ``mean_average_precision`` (macro), ``calibration_error``, ``images``, and ``per_class`` by name."""  # noqa: D205, D209
        averages = {"micro": self.micro(), "macro": self.macro(), "weighted": self.weighted()}
        precisions = self.average_precisions()
        rows = zip(self.classes, self.per_class(), precisions, self.support, strict=True)
        record: dict[str, Any] = {
            "images": self.images,
            "accuracy": _json(self.accuracy),
            **{f"{key}_{name}": _json(value) for name, found in averages.items() for key, value in vars(found).items()},
            "mean_average_precision": _json(_nanmean(precisions)),
            "calibration_error": _json(self.calibration_error()),
            "per_class": {
                name: {key: _json(value) for key, value in vars(found).items()}
                | {"average_precision": _json(float(precision)), "images": int(count)}
                for name, found, precision, count in rows
            },
        }
        return record if self.multi_label else record | {"confusion": self.confusion.tolist()}

    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Hits, decisions and true cases of each class (K,)."""
        truth, predicted = self._all(self._truth), self._all(self._predicted)
        return (truth & predicted).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0)

    def _mean(self, weights: NDArray[np.float64]) -> DecisionScores:
        counted = [(vars(row), weight) for row, weight in zip(self.per_class(), weights, strict=True) if weight > 0]
        total = sum(weight for _, weight in counted)
        means = {
            key: sum(_or_zero(row[key]) * weight for row, weight in counted) / total if total else float("nan")
            for key in ("precision", "recall", "f1", "f2")
        }
        return DecisionScores(**means)

    def _calibrate(self, truth: NDArray[np.bool_], chances: NDArray[np.float32]) -> None:
        if self.multi_label:
            self._calibration.update(truth.astype(np.uint8), np.stack([1 - chances, chances]))
        else:
            self._calibration.update(truth.argmax(axis=1).astype(np.uint8)[:, None], chances.T[:, :, None])

    def _all(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), bool)


def scores_from(hits: int, predicted: int, actual: int) -> DecisionScores:
    """Scores from counts of right decisions for a class, of all decisions for it, and of its true cases."""
    return DecisionScores(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, actual),
        f1=_ratio(2 * hits, predicted + actual),
        f2=_ratio(5 * hits, predicted + 4 * actual),
    )


def one_hot(values: NDArray[np.integer[Any]], classes: int) -> NDArray[np.bool_]:
    """Class values (N,) as (N, K), True in the column of each."""
    table: NDArray[np.bool_] = np.asarray(values)[:, None] == np.arange(classes)
    return table


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value


def _nanmean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
