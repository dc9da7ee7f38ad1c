"""Policies: the published rule by hand in every branch, ours by their limits and a slow computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.weighting import POLICIES, Confidence, Gated, Static, policy_named

RULES = (
    Static((0.3, 0.2)),
    Gated(),
    Gated(per_sample=True),
    Confidence(),
    Confidence(measure="entropy", sharpness=5.0, hard=0.3),
    Confidence(measure="margin", sharpness=0.5, hard=0.0),
    Confidence(softened=True),
)


def sure(confidence, classes=10):
    """Logits whose highest softmax probability is ``confidence``."""
    logits = torch.zeros(classes)
    logits[3] = math.log(confidence * (classes - 1) / (1 - confidence))
    return logits


def pair(first, second, temperature=1.0, samples=3):
    """Logits (N, 2, K) of two teachers with these confidences at a temperature."""
    return torch.stack([sure(first), sure(second)]).mul(temperature).expand(samples, 2, 10)


# arXiv 2411.00209, by hand: (C1, C2) -> (alpha, beta).
BRANCHES = [
    (0.30, 0.39, 0.00, 0.00),  # both below the floor
    (0.30, 0.45, 0.20, 0.35),  # one below the floor, both below delta: 0.5 - (0.6 - C)
    (0.59, 0.41, 0.49, 0.31),
    (0.15, 0.50, 0.10, 0.40),  # w_min: 0.5 - 0.45 = 0.05 is lifted to 0.1
    (0.50, 0.90, 0.30, 0.70),  # the first is unsure
    (0.12, 0.61, 0.30, 0.70),
    (0.90, 0.50, 0.70, 0.30),  # the second is unsure
    (0.61, 0.12, 0.70, 0.30),
    (0.61, 0.99, 0.50, 0.50),  # both are sure
    (0.99, 0.99, 0.50, 0.50),
]


@pytest.mark.parametrize("temperature", [1.0, 5.0])
@pytest.mark.parametrize(("first", "second", "alpha", "beta"), BRANCHES)
def test_every_branch_of_the_published_rule(first, second, alpha, beta, temperature):
    weights = Gated()(pair(first, second, temperature), temperature)
    half = (alpha + beta) / 2
    np.testing.assert_allclose(weights.hard, np.full(3, 1 - half), atol=1e-6)
    np.testing.assert_allclose(weights.teachers, np.tile([half * alpha, half * beta], (3, 1)), atol=1e-6)


def test_the_gate_sees_the_mean_over_the_batch_after_the_temperature():
    logits = torch.stack([torch.stack([sure(0.95), sure(0.99)]), torch.stack([sure(0.15), sure(0.95)])])
    batch, single = Gated()(logits, 1.0), Gated(per_sample=True)(logits, 1.0)
    np.testing.assert_allclose(batch.teachers, [[0.15, 0.35]] * 2, atol=1e-6)  # C1 = 0.55
    np.testing.assert_allclose(single.teachers, [[0.25, 0.25], [0.15, 0.35]], atol=1e-6)
    # A margin of 10 logits has a confidence of about 0.45 at T = 5 and 10 classes.
    wide = torch.zeros(4, 2, 10)
    wide[..., 0] = 10.0
    softened = math.exp(2) / (math.exp(2) + 9)
    np.testing.assert_allclose(Gated()(wide, 5.0).teachers[0], [(softened - 0.1) ** 2] * 2, atol=1e-6)
    np.testing.assert_allclose(Gated(softened=False)(wide, 5.0).teachers[0], [0.25, 0.25], atol=1e-6)


@pytest.mark.parametrize("teachers", [1, 3])
def test_the_gate_is_for_two_teachers(teachers):
    with pytest.raises(SettingsError, match=rf"exactly 2 teachers, got {teachers}; use the policy 'confidence'"):
        Gated()(torch.zeros(4, teachers, 10), 4.0)


def test_static_shares():
    weights = Static((0.5, 0.2))(torch.randn(6, 2, 4), 3.0)
    np.testing.assert_allclose(weights.hard, np.full(6, 0.3), atol=1e-6)
    np.testing.assert_allclose(weights.teachers, np.tile([0.5, 0.2], (6, 1)), atol=1e-6)
    assert Static.equal(0.9, teachers=3).shares == pytest.approx((0.3, 0.3, 0.3))
    with pytest.raises(SettingsError, match="shares for 2 teacher"):
        Static((0.5, 0.2))(torch.zeros(6, 3, 4), 3.0)


def certainty(logits, measure):
    """Of one teacher about one sample, float64 (K,)."""
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    if measure == "confidence":
        return (len(shares) * shares.max() - 1) / (len(shares) - 1)
    if measure == "entropy":
        return 1 + sum(share * math.log(share) for share in shares) / math.log(len(shares))
    ordered = sorted(shares)
    return ordered[-1] - ordered[-2]


@pytest.mark.parametrize("measure", ["confidence", "entropy", "margin"])
@pytest.mark.parametrize("teachers", [1, 2, 4])
def test_smooth_weights_by_a_slow_computation(measure, teachers):
    logits = torch.randn(5, teachers, 6, generator=torch.Generator().manual_seed(1)) * 3
    weights = Confidence(measure=measure, sharpness=1.7, hard=0.2)(logits, 4.0)
    for sample in range(5):
        sureness = [certainty(row.double().numpy(), measure) for row in logits[sample]]
        powers = [value**1.7 for value in sureness]
        shares = [power / sum(powers) for power in powers]
        together = sum(share * value for share, value in zip(shares, sureness, strict=True))
        want = [0.8 * together * share for share in shares]
        np.testing.assert_allclose(weights.teachers[sample], want, atol=1e-5)
        assert float(weights.hard[sample]) == pytest.approx(1 - 0.8 * together, abs=1e-5)


@pytest.mark.parametrize("measure", ["confidence", "entropy", "margin"])
def test_limits_of_the_smooth_weights(measure):
    blank, certain = torch.zeros(1, 3, 10), torch.zeros(1, 3, 10)
    certain[..., 2] = 60.0
    rule = Confidence(measure=measure, hard=0.25)
    know_nothing, know_all = rule(blank, 2.0), rule(certain, 2.0)
    np.testing.assert_allclose(know_nothing.hard, [1.0], atol=1e-5)
    np.testing.assert_allclose(know_all.hard, [0.25], atol=1e-5)
    np.testing.assert_allclose(know_all.teachers, [[0.25] * 3], atol=1e-5)
    mixed = torch.stack([sure(0.9), sure(0.5), sure(0.3)])[None]
    equal = Confidence(measure=measure, sharpness=0.0)(mixed, 1.0).teachers[0]
    np.testing.assert_allclose(equal, np.full(3, float(equal[0])), atol=1e-6)
    winner = Confidence(measure=measure, sharpness=200.0)(mixed, 1.0).teachers[0]
    assert float(winner[0]) > 0.5
    assert float(winner[1:].sum()) < 1e-6


def test_smooth_weights_have_no_jumps_and_follow_confidence():
    grid = torch.linspace(0.12, 0.98, 400)
    logits = torch.stack([torch.stack([sure(float(c)), sure(0.6)]) for c in grid])
    smooth, gated = Confidence()(logits, 1.0), Gated(per_sample=True)(logits, 1.0)
    assert float(smooth.teachers.diff(dim=0).abs().max()) < 0.01
    assert float(gated.teachers.diff(dim=0).abs().max()) > 0.09
    assert bool((smooth.teachers[:, 0].diff() > 0).all())


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_pixels_are_samples(rule):
    """A map gets the weights that its pixels get as a batch of single decisions."""
    maps = torch.randn(2, 2, 5, 3, 4, generator=torch.Generator().manual_seed(2)) * 2
    pixels = maps.permute(0, 3, 4, 1, 2).reshape(24, 2, 5)
    dense, flat = rule(maps, 2.0), rule(pixels, 2.0)
    assert dense.hard.shape == (2, 3, 4)
    assert dense.teachers.shape == (2, 2, 3, 4)
    np.testing.assert_allclose(dense.hard.reshape(-1), flat.hard, atol=1e-6)
    np.testing.assert_allclose(dense.teachers.permute(0, 2, 3, 1).reshape(24, 2), flat.teachers, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_weights_are_shares_without_gradient(rule, scale):
    logits = (torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(3)) * scale).requires_grad_()
    weights = rule(logits, 4.0)
    assert not weights.hard.requires_grad
    assert not weights.teachers.requires_grad
    everything = torch.cat([weights.hard[:, None], weights.teachers], dim=1)
    assert bool(((everything >= 0) & (everything <= 1)).all())
    assert float(everything.sum(dim=1).max()) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Static(()), "shares of the teachers must be >= 0"),
        (lambda: Static((0.7, 0.4)), "sum of at most 1"),
        (lambda: Static((-0.1,)), "must be >= 0"),
        (lambda: Gated(floor=0.7), "0 <= floor <= delta <= 1"),
        (lambda: Gated(least=0.6), r"least in \[0, 0.5\]"),
        (lambda: Confidence(sharpness=-1.0), "finite sharpness >= 0"),
        (lambda: Confidence(sharpness=math.inf), "finite sharpness"),
        (lambda: Confidence(hard=1.5), r"hard in \[0, 1\]"),
        (lambda: Confidence(measure="variance"), "unknown measure 'variance' of certainty; known: confidence"),
        (lambda: policy_named("confidance", teachers=2), "did you mean confidence"),
        (lambda: policy_named("zzz", teachers=2), "unknown weight policy 'zzz'; known: static, gated"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


@pytest.mark.parametrize("rule", [Static((0.5,)), Gated(), Confidence()], ids=repr)
@pytest.mark.parametrize("shape", [(4, 10), (4, 0, 10), (4, 2, 1)])
def test_logits_of_another_rank_are_refused(rule, shape):
    with pytest.raises(SettingsError, match=r"must be \(samples, teachers, classes\)"):
        rule(torch.zeros(shape), 1.0)


def test_policies_by_name():
    for name in POLICIES:
        weights = policy_named(name, teachers=2)(torch.randn(3, 2, 4), 2.0)
        assert weights.teachers.shape == (3, 2)
