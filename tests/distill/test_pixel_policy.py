"""Masks taught by several teachers that a policy weighs."""

from __future__ import annotations

import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.objective import distillation_loss
from satsqueeze.distill.pixel_policy import PixelDistillation
from satsqueeze.distill.weighting import Confidence, Gated, Static
from satsqueeze.learn.losses import DiceCE, cross_entropy, soft_dice


@pytest.fixture
def batch():
    """Logits (3, 4, 8, 10), labels with holes, and what two teachers say, who see nothing in one corner."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 8, 10, generator=generator)
    labels = torch.randint(0, 4, (3, 8, 10), generator=generator)
    soft = (2 * torch.randn(3, 2, 4, 8, 10, generator=generator)).softmax(dim=2)
    labels[:, 3:5, 2:6] = 255
    labels[:, :2, :3] = 255
    soft[:, :, :, :2, :3] = 0
    return logits, labels, soft


def plain_terms(logits, labels):
    """Cross-entropy per taught pixel, as the mean over labelled ones, and Dice."""
    return cross_entropy(logits.log_softmax(dim=1), labels), 1 - soft_dice(logits.softmax(dim=1), labels)


def test_static_shares_are_those_of_the_plain_distillation(batch):
    logits, labels, soft = batch
    found = PixelDistillation(policy=Static((0.3, 0.2)), temperature=2.0)(logits, labels, soft)
    entropy, dice = plain_terms(logits, labels)
    taught = [distillation_loss(logits, soft[:, teacher], 2.0) for teacher in (0, 1)]
    want = 0.5 * (entropy + dice) + 0.3 * taught[0] + 0.2 * taught[1]
    torch.testing.assert_close(found["loss"], want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["share_1"], torch.tensor(0.3))


def test_the_published_gate_looks_at_the_batch_without_what_teachers_do_not_see(batch):
    logits, labels, soft = batch
    found = PixelDistillation(policy=Gated(), temperature=2.0)(logits, labels, soft)
    seen = soft[:, 0].sum(dim=1) > 0.5
    softened = soft.clamp_min(1e-12).log().div(2).softmax(dim=2).amax(dim=2)
    first, second = (float(softened[:, teacher][seen].mean()) for teacher in (0, 1))
    assert 0.4 < first < 0.6, "between the thresholds"
    assert 0.4 < second < 0.6, "between the thresholds"
    a, b = (max(0.5 - (0.6 - confidence), 0.1) for confidence in (first, second))
    half = (a + b) / 2
    entropy, dice = plain_terms(logits, labels)
    taught = [distillation_loss(logits, soft[:, teacher], 2.0) for teacher in (0, 1)]
    want = (1 - half) * (entropy + dice) + half * (a * taught[0] + b * taught[1])
    torch.testing.assert_close(found["loss"], want, rtol=1e-3, atol=1e-4)


def test_a_pixel_that_a_teacher_is_sure_of_is_taught_more(batch):
    logits, labels, soft = batch
    logits.requires_grad_()
    soft[:, 0, :, 5] = torch.tensor([1.0, 0, 0, 0])[:, None]
    soft[:, 1, :, 5] = 0.25
    found = PixelDistillation(policy=Confidence(), temperature=1.0)(logits, labels, soft)
    found["loss"].backward()
    assert found["share_1"] > found["share_2"]
    assert (logits.grad[:, :, :2, :3] == 0).all(), "no teacher and no label there"


def test_where_every_pixel_is_taught_nothing_is_gathered_and_nothing_changes(batch):
    logits, labels, soft = batch
    soft[:, :, :, :2, :3] = 0.25
    objective = PixelDistillation(policy=Confidence(), temperature=2.0)
    whole = objective(logits, labels, soft)
    beside = torch.zeros_like(soft[:1])
    with_more = objective(
        torch.cat([logits, logits[:1]]),
        torch.cat([labels, torch.full_like(labels[:1], 255)]),
        torch.cat([soft, beside]),
    )
    for name, value in whole.items():
        torch.testing.assert_close(with_more[name], value, rtol=1e-4, atol=1e-5)


def test_without_teachers_it_is_the_plain_loss(batch):
    logits, labels, soft = batch
    plain = DiceCE()(logits, labels)["loss"]
    objective = PixelDistillation(policy=Static((0.3, 0.2)), temperature=2.0)
    assert objective(logits, labels, torch.zeros_like(soft)).keys() == objective(logits, labels, soft).keys()
    for nothing in (None, torch.zeros_like(soft)):
        torch.testing.assert_close(
            objective([logits, logits], labels, nothing)["loss"], DiceCE()([logits, logits], labels)["loss"]
        )
        torch.testing.assert_close(objective(logits, labels, nothing)["loss"], plain)


def test_a_policy_for_another_number_of_teachers_is_refused(batch):
    logits, labels, soft = batch
    with pytest.raises(SettingsError, match="exactly 2 teachers, got 1"):
        PixelDistillation(policy=Gated(), temperature=2.0)(logits, labels, soft[:, :1])
