"""Probability thresholds for deciding on each class of a multi-label image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import LabelError

DEFAULT_THRESHOLD = 0.5


def best_thresholds(truth: NDArray[Any], probabilities: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """For each class the threshold whose decisions, probability >= threshold, have the highest F1.

    Chosen amid the two probabilities that it separates; among equals the one closest to 0.5. A class that does not
    occur gets 0.5. To be called on validation data only: the F1 found is biased upwards.

    Args:
        truth: (N, K), nonzero for the classes of each image.
        probabilities: (N, K).

    Raises:
        LabelError: unequal shapes.
    """
    if truth.shape != probabilities.shape or truth.ndim != 2:
        raise LabelError(f"truth {truth.shape} and probabilities {probabilities.shape} must be (N, K) alike")
    return tuple(_best(column.astype(bool), chances) for column, chances in zip(truth.T, probabilities.T, strict=True))


def _best(truth: NDArray[np.bool_], chances: NDArray[np.floating[Any]]) -> float:
    positives = int(truth.sum())
    if not positives:
        return DEFAULT_THRESHOLD
    order = np.argsort(-chances, kind="stable")
    falling = chances[order].astype(np.float64)
    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    f1 = 2 * np.cumsum(truth[order])[ends] / (ends + 1 + positives)
    below = np.append(falling[ends[:-1] + 1], 0.0)
    # Decisions compare in float32, where the middle of neighbours is one of them: then the upper one is the threshold.
    middles = ((falling[ends] + below) / 2).astype(np.float32).astype(np.float64)
    middles = np.where(middles > below, middles, falling[ends])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.abs(middles[best] - DEFAULT_THRESHOLD).argmin()]])
