"""Scores over seeds: their mean with its confidence interval, and what one way gains over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from satsqueeze.core.errors import DataError

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds with its confidence interval by Student's t; the interval is the mean alone for one seed."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def half(self) -> float:
        """Half of the interval."""
        return self.high - self.mean

    @property
    def percent(self) -> str:
        """Mean and half of the interval, in percent."""
        return f"{100 * self.mean:.1f} ± {100 * self.half:.1f}"


def estimate(values: Sequence[float]) -> Estimate:
    """Of scores, one per seed.

    Raises:
        DataError: no score.
    """
    if not values:
        raise DataError("a mean over seeds needs at least one score, got none")
    mean, half = float(np.mean(values)), 0.0
    if len(values) > 1:
        spread = float(np.std(values, ddof=1)) / np.sqrt(len(values))
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread
    return Estimate(mean=mean, low=mean - half, high=mean + half, seeds=len(values))


def gain(scores: Mapping[int, float], base: Mapping[int, float]) -> tuple[Estimate, float | None]:
    """How far scores by seed are above others, over the seeds that both have, and the p of that.

    Raises:
        DataError: they have no seed in common.
    """
    common = sorted(scores.keys() & base.keys())
    first, second = [scores[seed] for seed in common], [base[seed] for seed in common]
    return estimate(list(np.subtract(first, second))), paired_p(first, second)


def paired_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Two-sided p of the paired t test over seeds; None with fewer than two, or where all differences are the same."""
    differences = np.subtract(first, second)
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(stats.ttest_rel(first, second).pvalue)
