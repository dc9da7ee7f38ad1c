"""Temperature scaling: one number that makes a classifier's probabilities honest, fitted on validation answers.

Guo et al. 2017, "On calibration of modern neural networks". The order of the classes never changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import logsumexp

from satsqueeze.core.errors import DataError
from satsqueeze.data.sampling.dihedral import VIEWS
from satsqueeze.distill.answers import TeacherAnswers
from satsqueeze.nets.card import Task

RANGE = (0.05, 20.0)
"""Temperatures that are searched."""
_TOLERANCE = 1e-7
"""Of the logarithm of the temperature."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted temperature and what it brings."""

    temperature: float
    """Logits are divided by it; above 1 where the classifier was too sure."""
    before: float
    """Mean negative log-likelihood in nats at temperature 1."""
    after: float
    """The same at the fitted temperature, never above ``before``."""


def negative_log_likelihood(
    logits: NDArray[np.floating[Any]], targets: NDArray[Any], temperature: float = 1.0, *, task: Task = "classification"
) -> float:
    """Mean negative log-likelihood of logits / temperature in nats, computed in float64.

    Args:
        logits: (N, K).
        targets: (N, K), one row per image: class shares that sum to 1, or for multi-label 0 and 1 (mean over classes).
        temperature: > 0.
        task: softmax over the classes, or a sigmoid for each.
    """
    scaled, truth = np.asarray(logits, np.float64) / temperature, np.asarray(targets, np.float64)
    if task == "multi-label":
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))
    return float(np.mean(logsumexp(scaled, axis=1) - (truth * scaled).sum(axis=1)))


def calibrate(
    logits: NDArray[np.floating[Any]], targets: NDArray[Any], *, task: Task = "classification"
) -> Calibration:
    """The temperature of least negative log-likelihood, by Brent's bounded search.

    The likelihood is convex in 1/T, so the only minimum is found to a relative 1e-7; 1 is kept where nothing is better.

    Args:
        logits: of validation images (N, K), never of test images.
        targets: (N, K); see :func:`negative_log_likelihood`.
        task: see there.

    Raises:
        DataError: no image, shapes that differ, values that are not finite, or an image without a label.
    """
    _check(logits, targets, task)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, targets, math.exp(log_temperature), task=task)

    limits = (math.log(RANGE[0]), math.log(RANGE[1]))
    found = optimize.minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": _TOLERANCE}).x
    before, after = loss(0.0), loss(found)
    if after >= before:
        return Calibration(temperature=1.0, before=before, after=before)
    return Calibration(temperature=math.exp(found), before=before, after=after)


def calibrate_teachers(answers: TeacherAnswers, ids: Sequence[str]) -> tuple[Calibration, ...]:
    """A temperature for each teacher, from all views of validation images.

    They are the ``teacher_temperatures`` of :class:`satsqueeze.distill.class_objective.ClassDistillation`.

    Args:
        answers: of the teachers, who were asked about ``ids``.
        ids: labelled validation images.

    Raises:
        RunError: a teacher was not asked about an image.
        DataError: an image is not in the cache, or cannot be used; see :func:`calibrate`.
    """
    cache = answers.cache
    positions = np.array([cache.position(item) for item in ids], np.int64)
    every, views = np.repeat(positions, VIEWS), np.tile(np.arange(VIEWS), len(positions))
    rows, targets = answers.rows(every, views), cache.targets[every]
    task = cast("Task", cache.task)
    return tuple(calibrate(rows[:, teacher], targets, task=task) for teacher in range(rows.shape[1]))


def _check(logits: NDArray[np.floating[Any]], targets: NDArray[Any], task: Task) -> None:
    if logits.ndim != 2 or logits.shape != targets.shape or not len(logits):
        raise DataError(
            f"calibration needs logits and targets (images, classes) of at least one validation image, got "
            f"{logits.shape} and {targets.shape}"
        )
    truth = np.asarray(targets, np.float64)
    if not (np.isfinite(logits).all() and np.isfinite(truth).all()):
        raise DataError("calibration needs finite logits and targets, got NaN or infinity; ask the teacher again")
    if task != "multi-label" and not np.allclose(truth.sum(axis=1), 1):
        bare = int((~np.isclose(truth.sum(axis=1), 1)).sum())
        raise DataError(
            f"{bare} of {len(truth)} validation images have class shares that do not sum to 1; leave images without a "
            "label out, or state the task 'multi-label'"
        )
