"""Temperature scaling against grid searches, an optimum known in closed form, and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from satsqueeze.core.errors import DataError
from satsqueeze.distill.calibration import RANGE, calibrate, negative_log_likelihood


def draw(scale, *, seed=0, images=400, classes=5, multi_label=False):
    """Logits whose honest temperature is ``scale``: labels are drawn from the softmax of logits / scale."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 2, (images, classes))
    if multi_label:
        targets = generator.uniform(size=honest.shape) < 1 / (1 + np.exp(-honest))
        return honest * scale, targets.astype(np.float32)
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    drawn = [generator.choice(classes, p=row) for row in shares]
    return honest * scale, np.eye(classes)[drawn]


@pytest.mark.parametrize("task", ["classification", "multi-label"])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_the_likelihood_is_torchs(task, temperature):
    logits, targets = draw(2.0, multi_label=task == "multi-label")
    scaled, truth = torch.from_numpy(logits / temperature), torch.from_numpy(targets.astype(np.float64))
    loss = F.cross_entropy if task == "classification" else F.binary_cross_entropy_with_logits
    found = negative_log_likelihood(logits, targets, temperature, task=task)
    assert found == pytest.approx(float(loss(scaled, truth)), rel=1e-12)


@pytest.mark.parametrize("task", ["classification", "multi-label"])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_agrees_with_a_grid_search(task, scale):
    logits, targets = draw(scale, multi_label=task == "multi-label")
    found = calibrate(logits, targets, task=task)
    grid = np.exp(np.arange(math.log(0.1), math.log(12), 0.005))
    losses = [negative_log_likelihood(logits, targets, t, task=task) for t in grid]
    assert found.temperature == pytest.approx(grid[int(np.argmin(losses))], rel=0.006)
    assert found.after <= min(losses) + 1e-12
    assert found.temperature == pytest.approx(scale, rel=0.2)
    assert found.after == negative_log_likelihood(logits, targets, found.temperature, task=task)
    assert found.before == negative_log_likelihood(logits, targets, task=task)


def test_an_optimum_in_closed_form():
    """Two classes with a margin m, a share q right: softmax(m / T) = q, so T = m / log(q / (1 - q))."""
    logits = np.tile([8.0, 0.0], (10, 1))
    targets = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    assert calibrate(logits, targets).temperature == pytest.approx(8 / math.log(9), rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_likelihood_never_gets_worse(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 10.0 ** generator.uniform(-3, 3), (generator.integers(1, 9), 3))
    targets = np.eye(3)[generator.integers(3, size=len(logits))]
    found = calibrate(logits, targets)
    assert found.after <= found.before
    assert RANGE[0] <= found.temperature <= RANGE[1]


def test_a_perfect_or_empty_headed_teacher_stays_in_range():
    targets = np.eye(3)
    # The sharper, the better, until float64 sees no difference any more.
    perfect = calibrate(targets * 5, targets)
    assert RANGE[0] <= perfect.temperature < 0.2
    assert perfect.after == pytest.approx(0, abs=1e-12)
    assert calibrate(-targets * 5, targets).temperature == pytest.approx(RANGE[1], rel=1e-3)
    assert calibrate(np.zeros((3, 3)), targets).temperature == 1.0
    huge = calibrate(np.float32(1e4) * np.eye(3, dtype=np.float32)[[0, 0, 0]], targets)
    assert math.isfinite(huge.after)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "at least one validation image"),
        (np.zeros((4, 3)), np.zeros(4), r"got \(4, 3\) and \(4,\)"),
        (np.full((4, 3), np.nan), np.eye(3)[[0, 1, 2, 0]], "finite logits"),
        (np.zeros((4, 3)), np.zeros((4, 3)), "4 of 4 validation images have class shares that do not sum to 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(logits, targets, message):
    with pytest.raises(DataError, match=message):
        calibrate(logits, targets)
