"""Streaming segmentation metrics, framework-free.

The headline is the global Jaccard of the foreground: intersections and unions summed over all pixels, then divided
(DrivenData On Cloud N), never the mean of per-image values. Where no class is foreground, as in land cover, it is the
mean of the classes' global Jaccards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import LabelError, SettingsError
from satsqueeze.core.labels import IGNORE

_MEANS = ("jaccard", "precision", "recall", "specificity", "f1")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Of foreground against the rest, or means over classes; all fractions in [0, 1], NaN where undefined."""

    jaccard: float
    precision: float
    recall: float
    specificity: float
    f1: float
    accuracy: float
    pixels: int
    """Pixels that counted."""


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Confusion counts (K, K), rows truth, columns prediction; pixels labelled 255 in ``truth`` do not count.

    A prediction of 255 (nodata) where the truth is labelled counts as class 0.

    Raises:
        LabelError: unequal shapes, or a value that is neither a class nor 255.
    """
    if truth.shape != predicted.shape:
        raise LabelError(f"truth and prediction differ in shape: {truth.shape} and {predicted.shape}")
    counted = truth != IGNORE
    rows = truth[counted].astype(np.int64)
    cols = np.where(predicted == IGNORE, 0, predicted)[counted].astype(np.int64)
    if rows.size and max(rows.max(), cols.max()) >= classes:
        raise LabelError(
            f"class values must be below {classes} or {IGNORE}, got {int(rows.max())} in the truth and "
            f"{int(cols.max())} in the prediction"
        )
    return np.bincount(rows * classes + cols, minlength=classes * classes).reshape(classes, classes)


def binary_scores(matrix: NDArray[np.int64], foreground: Sequence[int]) -> Scores:
    """Scores of ``foreground`` classes, merged, against all others.

    Args:
        matrix: confusion counts (K, K), rows truth.
        foreground: class values that count as positive.
    """
    positive = np.isin(np.arange(matrix.shape[0]), list(foreground))
    tp = int(matrix[np.ix_(positive, positive)].sum())
    fn = int(matrix[np.ix_(positive, ~positive)].sum())
    fp = int(matrix[np.ix_(~positive, positive)].sum())
    tn = int(matrix[np.ix_(~positive, ~positive)].sum())
    return Scores(
        jaccard=_ratio(tp, tp + fp + fn),
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        accuracy=_ratio(tp + tn, tp + tn + fp + fn),
        pixels=tp + tn + fp + fn,
    )


def scores_of(matrix: NDArray[np.int64], foreground: Sequence[int]) -> Scores:
    """Scores of ``foreground`` classes, merged, against all others; means over the classes where there are none.

    Args:
        matrix: confusion counts (K, K), rows truth.
        foreground: class values that count as positive.
    """
    return binary_scores(matrix, foreground) if foreground else class_mean_scores(matrix)


def class_mean_scores(matrix: NDArray[np.int64]) -> Scores:
    """Means over all classes that truth or prediction holds, each against the rest; accuracy is that of all classes.

    Args:
        matrix: confusion counts (K, K), rows truth.
    """
    present = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    found = [binary_scores(matrix, [int(value)]) for value in present]
    means = {name: _defined_mean([getattr(scores, name) for scores in found]) for name in _MEANS}
    pixels = int(matrix.sum())
    return Scores(**means, accuracy=_ratio(int(np.trace(matrix)), pixels), pixels=pixels)


def class_jaccards(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard of each class (K,), NaN for a class absent from truth and prediction."""
    hit: NDArray[np.float64] = np.diag(matrix).astype(np.float64)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - hit
    jaccards: NDArray[np.float64] = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return jaccards


def mean_jaccard(metrics: SegmentationMetrics) -> float:
    """Mean of the classes' global Jaccards (mIoU), without classes absent from truth and prediction."""
    found = class_jaccards(metrics.matrix)
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _defined_mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


@dataclass
class SegmentationMetrics:
    """Accumulates confusion counts per image, group and source; memory does not grow with pixels.

    Args:
        classes: number of classes K.
        foreground: classes merged as positive in the headline; none for means over all classes.
    """

    classes: int
    foreground: tuple[int, ...]
    _images: dict[str, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)
    _groups: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.classes < 2 or not all(0 <= c < self.classes for c in self.foreground):
            raise SettingsError(
                f"metrics need at least 2 classes and foreground classes among them, got {self.classes} classes "
                f"and foreground {self.foreground}"
            )

    def update(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], *, image: str, group: str = "") -> None:
        """Add one image, or a further part of it.

        Args:
            truth: uint8 (H, W), 255 = does not count.
            predicted: uint8 (H, W).
            image: identifier for the per-image mean.
            group: identifier of the scene or location, or of the source, for the per-group scores.
        """
        self.add(confusion(truth, predicted, self.classes), image=image, group=group)

    def add(self, counts: NDArray[np.int64], *, image: str, group: str = "") -> None:
        """Add confusion counts (K, K) of one image, or of a further part of it."""
        self._images[image] = self._images.get(image, 0) + counts
        self._groups[image] = group

    @property
    def images(self) -> dict[str, NDArray[np.int64]]:
        """Confusion counts (K, K) of every image."""
        return dict(self._images)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion counts (K, K) over everything."""
        return self._sum(self._images)

    def overall(self) -> Scores:
        """Global scores."""
        return self._scores(self.matrix)

    def per_image(self) -> dict[str, Scores]:
        """Scores of every image."""
        return {image: self._scores(counts) for image, counts in self._images.items()}

    def per_group(self) -> dict[str, Scores]:
        """Global scores within each group."""
        members: dict[str, list[str]] = {}
        for image, group in self._groups.items():
            members.setdefault(group, []).append(image)
        return {
            group: self._scores(self._sum({i: self._images[i] for i in images}))
            for group, images in sorted(members.items())
        }

    def to_dict(self) -> dict[str, object]:
        """JSON-ready record: global scores flat, then means and per-group scores; undefined values are None."""
        overall = self.overall()
        images = [scores.jaccard for scores in self.per_image().values()]
        groups = {name: _json(scores) for name, scores in self.per_group().items()}
        return {
            **_json(overall),
            "jaccard_per_image_mean": _nanmean(images),
            "jaccard_per_group_mean": _nanmean([scores.jaccard for scores in self.per_group().values()]),
            "jaccard_per_class": [None if np.isnan(v) else float(v) for v in class_jaccards(self.matrix)],
            "images": len(self._images),
            "groups": groups,
        }

    def _scores(self, matrix: NDArray[np.int64]) -> Scores:
        return scores_of(matrix, self.foreground)

    def _sum(self, images: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        return sum(images.values(), np.zeros((self.classes, self.classes), np.int64))


def _nanmean(values: Sequence[float]) -> float | None:
    mean = _defined_mean(values)
    return None if np.isnan(mean) else mean


def _json(scores: Scores) -> dict[str, float | int | None]:
    return {key: None if isinstance(v, float) and np.isnan(v) else v for key, v in vars(scores).items()}


@dataclass
class CalibrationError:
    """Streaming expected calibration error with equal-width bins (Guo et al. 2017, eq. 3).

    Args:
        bins: number of confidence bins.
    """

    bins: int = 15
    _count: NDArray[np.int64] = field(init=False, repr=False)
    _confidence: NDArray[np.float64] = field(init=False, repr=False)
    _correct: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise SettingsError(f"calibration needs at least one bin, got {self.bins}")
        self._count = np.zeros(self.bins, np.int64)
        self._confidence = np.zeros(self.bins)
        self._correct = np.zeros(self.bins)

    def update(self, truth: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
        """Add one image.

        Args:
            truth: uint8 (H, W), 255 = does not count.
            probabilities: float (K, H, W), summing to 1 over K; pixels where any is NaN do not count.

        Raises:
            LabelError: unequal heights or widths.
        """
        if probabilities.ndim != 3 or probabilities.shape[1:] != truth.shape:
            raise LabelError(f"truth is {truth.shape}, so probabilities must be (K, H, W), got {probabilities.shape}")
        counted = (truth != IGNORE) & ~np.isnan(probabilities).any(axis=0)
        confidence = probabilities.max(axis=0)[counted].astype(np.float64)
        correct = (probabilities.argmax(axis=0) == truth)[counted]
        bin_of = np.clip(np.ceil(confidence * self.bins).astype(np.int64) - 1, 0, self.bins - 1)
        self._count += np.bincount(bin_of, minlength=self.bins)
        self._confidence += np.bincount(bin_of, weights=confidence, minlength=self.bins)
        self._correct += np.bincount(bin_of, weights=correct, minlength=self.bins)

    def value(self) -> float:
        """Expected calibration error in [0, 1]; NaN before the first pixel."""
        total = int(self._count.sum())
        return float(np.abs(self._confidence - self._correct).sum() / total) if total else float("nan")
