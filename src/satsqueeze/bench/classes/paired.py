"""Whether one classifier is better than another on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from satsqueeze.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two classifiers on the same decisions, by McNemar's exact test.

    Pooled over seeds, the decisions on one image are not independent of each other, so that p is somewhat too small.
    """

    better: int
    """Decisions that are right in the first and wrong in the second."""
    worse: int
    """The reverse."""
    decisions: int
    """All, images times seeds."""
    gain: float
    """Accuracy of the first less that of the second."""
    p: float
    """Two-sided; 1 where they never differ."""


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare two classifiers by the decisions in which exactly one of them is right.

    Args:
        first: (N,), True = right.
        second: (N,), of the same images in the same order.

    Raises:
        DataError: other shapes, or no image.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise DataError(f"a paired test needs the same images (N,) twice, got {first.shape} and {second.shape}")
    better, worse = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Paired(better=better, worse=worse, decisions=len(first), gain=(better - worse) / len(first), p=p)
