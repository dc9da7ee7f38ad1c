"""The distillation loss against closed forms and a slow computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.objective import Distillation, distillation_loss, soften


def _labels_only(logits, labels, soft):
    finest = logits[0] if isinstance(logits, list) else logits
    return {"loss": torch.nn.functional.cross_entropy(finest, labels, ignore_index=255)}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    teacher_logits = torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    return logits, torch.softmax(teacher_logits, 1), teacher_logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_softening_probabilities_equals_softening_logits(batch, temperature):
    _, teacher, teacher_logits, _ = batch
    torch.testing.assert_close(soften(teacher, temperature), torch.softmax(teacher_logits / temperature, 1))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_against_a_slow_computation(batch, temperature):
    logits, teacher, teacher_logits, _ = batch
    total = 0.0
    for n, h, w in np.ndindex(2, 4, 5):
        p = np.exp(teacher_logits[n, :, h, w].double().numpy() / temperature)
        q = np.exp(logits[n, :, h, w].double().numpy() / temperature)
        p, q = p / p.sum(), q / q.sum()
        total += (p * np.log(p / q)).sum()
    expected = temperature**2 * total / 40
    assert distillation_loss(logits, teacher, temperature).item() == pytest.approx(expected, rel=1e-4)


def test_no_loss_where_the_student_equals_the_teacher(batch):
    _, teacher, teacher_logits, _ = batch
    assert distillation_loss(teacher_logits, teacher, 2.0).item() == pytest.approx(0, abs=1e-5)


def test_pixels_without_a_teacher_do_not_count(batch):
    logits, teacher, _, _ = batch
    holed = teacher.clone()
    holed[:, :, :, 2:] = 0
    expected = distillation_loss(logits[..., :2], teacher[..., :2], 2.0)
    torch.testing.assert_close(distillation_loss(logits, holed, 2.0), expected)
    assert distillation_loss(logits, torch.zeros_like(teacher), 2.0).item() == 0


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_temperature_squared_stands_at_every_weight(batch, weight):
    logits, teacher, _, labels = batch
    parts = Distillation(hard=_labels_only, weight=weight, temperature=3.0)(logits, labels, teacher)
    hard = _labels_only(logits, labels, None)["loss"]
    soft = distillation_loss(logits, teacher, 3.0)
    torch.testing.assert_close(parts["loss"], (1 - weight) * hard + weight * soft)
    torch.testing.assert_close(parts["distillation"], soft)


def test_the_gradient_keeps_its_size_as_the_temperature_grows(batch):
    """T^2 undoes the 1/T^2 of softened gradients (Hinton et al. 2015, section 2)."""
    logits, teacher, _, _ = batch
    norms = []
    for temperature in (8.0, 16.0):
        leaf = (logits * 0.1).clone().requires_grad_()
        distillation_loss(leaf, soften(teacher, 1.0), temperature).backward()
        norms.append(leaf.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.15)


@pytest.mark.parametrize(("weight", "temperature"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)])
def test_impossible_settings_are_refused(weight, temperature):
    with pytest.raises(SettingsError, match=r"weight in \[0, 1\] and a temperature > 0, got"):
        Distillation(hard=_labels_only, weight=weight, temperature=temperature)
