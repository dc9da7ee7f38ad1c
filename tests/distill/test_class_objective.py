"""The distillation of decisions against a slow computation in float64, and its identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.class_objective import ClassDistillation, divergences
from satsqueeze.distill.weighting import Confidence, Gated, Static

CLASSES = 5
POLICIES = (
    Static((0.3, 0.2)),
    Gated(),
    Gated(per_sample=True),
    Gated(softened=False),
    Confidence(),
    Confidence(measure="entropy", sharpness=4.0, hard=0.3),
    Confidence(measure="margin", softened=True),
)


def draw(*, samples=6, teachers=2, seed=0, multi_label=False, scale=4.0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (samples, CLASSES)).astype(np.float32)
    answers = generator.normal(0, scale, (samples, teachers, CLASSES)).astype(np.float32)
    truth = generator.integers(CLASSES, size=samples)
    targets = np.eye(CLASSES, dtype=np.float32)[truth]
    if multi_label:
        targets = (generator.uniform(size=(samples, CLASSES)) < 0.4).astype(np.float32)
    return logits, targets, answers


def softmax(values):
    shares = [math.exp(value - max(values)) for value in values]
    return [share / sum(shares) for share in shares]


def kl(p, q):
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def certainty_of(p, measure):
    if measure == "confidence":
        return (len(p) * max(p) - 1) / (len(p) - 1)
    if measure == "entropy":
        return 1 + sum(a * math.log(a) for a in p if a > 0) / math.log(len(p))
    first, second = sorted(p, reverse=True)[:2]
    return first - second


def weights_of(policy, answers, tau):
    """(hard, [w_1 ... w_T]) for each sample, by the letter of arXiv 2411.00209 and of the docstrings."""
    if isinstance(policy, Static):
        return [(1 - sum(policy.shares), list(policy.shares))] * len(answers)
    if isinstance(policy, Gated):
        tau = tau if policy.softened else 1.0
        single = [[max(softmax([z / tau for z in row])) for row in rows] for rows in answers]
        mean = [sum(row[i] for row in single) / len(single) for i in range(2)]
        out = []
        for own in single:
            c1, c2 = own if policy.per_sample else mean
            if c1 < 0.4 and c2 < 0.4:
                a, b = 0.0, 0.0
            elif c1 < 0.6 and c2 < 0.6:
                a, b = max(0.5 - (0.6 - c1), 0.1), max(0.5 - (0.6 - c2), 0.1)
            elif c1 < 0.6:
                a, b = 0.3, 0.7
            elif c2 < 0.6:
                a, b = 0.7, 0.3
            else:
                a, b = 0.5, 0.5
            out.append((1 - (a + b) / 2, [(a + b) / 2 * a, (a + b) / 2 * b]))
        return out
    out = []
    for rows in answers:
        t = tau if policy.softened else 1.0
        sure = [certainty_of(softmax([z / t for z in row]), policy.measure) for row in rows]
        powers = [value**policy.sharpness for value in sure]
        shares = [power / sum(powers) for power in powers]
        together = (1 - policy.hard) * sum(s * c for s, c in zip(shares, sure, strict=True))
        out.append((1 - together, [together * share for share in shares]))
    return out


def slow(policy, logits, targets, answers, *, tau, smoothing=0.0, power=2):
    """Loss of single-label samples, one after another in float64."""
    weights = weights_of(policy, answers, tau)
    total = 0.0
    for sample, (z, y, rows) in enumerate(zip(logits, targets, answers, strict=True)):
        hard, shares = weights[sample]
        p = softmax(z)
        entropy = -sum(((1 - smoothing) * t + smoothing / len(y)) * math.log(a) for t, a in zip(y, p, strict=True))
        student = softmax([value / tau for value in z])
        taught = sum(w * kl(softmax([v / tau for v in row]), student) for w, row in zip(shares, rows, strict=True))
        total += hard * entropy + tau**power * taught
    return total / len(logits)


def lists(*arrays):
    return [array.astype(np.float64).tolist() for array in arrays]


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize(("tau", "smoothing", "power"), [(1.0, 0.0, 2), (4.0, 0.1, 2), (2.5, 0.0, -2)])
def test_the_loss_agrees_with_a_slow_computation(policy, tau, smoothing, power):
    logits, targets, answers = draw()
    objective = ClassDistillation(policy=policy, temperature=tau, label_smoothing=smoothing, power=power)
    parts = objective(*tensors(logits, targets, answers))
    want = slow(policy, *lists(logits, targets, answers), tau=tau, smoothing=smoothing, power=power)
    assert float(parts["loss"]) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_multi_label_agrees_with_a_slow_computation(policy):
    """Each class is a sample of its own with the logits (0, z)."""
    logits, targets, answers = draw(multi_label=True, seed=1)
    objective = ClassDistillation(policy=policy, temperature=3.0, label_smoothing=0.1, task="multi-label")
    parts = objective(*tensors(logits, targets, answers))
    z, y, rows = lists(logits, targets, answers)
    flat = [(n, k) for n in range(len(z)) for k in range(CLASSES)]
    want = slow(
        policy,
        [[0.0, z[n][k]] for n, k in flat],
        [[1 - y[n][k], y[n][k]] for n, k in flat],
        [[[0.0, row[k]] for row in rows[n]] for n, k in flat],
        tau=3.0,
        smoothing=0.1,
    )
    assert float(parts["loss"]) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("teachers", [1, 2, 3])
@pytest.mark.parametrize("multi_label", [False, True])
def test_any_number_of_teachers(teachers, multi_label):
    logits, targets, answers = draw(teachers=teachers, multi_label=multi_label)
    task = "multi-label" if multi_label else "classification"
    parts = ClassDistillation(policy=Confidence(), task=task)(*tensors(logits, targets, answers))
    shares = [float(parts[f"share_{number}"]) for number in range(1, teachers + 1)]
    assert f"share_{teachers + 1}" not in parts
    assert sum(shares) + float(parts["share_hard"]) == pytest.approx(1, abs=1e-5)
    assert min(shares) > 0


@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.0])
@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_temperature_squared_at_every_weight(weight, temperature):
    logits, targets, answers = tensors(*draw(teachers=1))
    parts = ClassDistillation(policy=Static((weight,)), temperature=temperature)(logits, targets, answers)
    soft = F.kl_div(
        F.log_softmax(logits / temperature, 1), F.softmax(answers[:, 0] / temperature, 1), reduction="batchmean"
    )
    hard = F.cross_entropy(logits, targets.argmax(1))
    assert float(parts["distillation"]) == pytest.approx(weight * temperature**2 * float(soft), rel=1e-5, abs=1e-7)
    assert float(parts["hard"]) == pytest.approx(float(hard), rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(float((1 - weight) * hard + weight * temperature**2 * soft), rel=1e-5)


def test_at_a_high_temperature_the_gradient_is_that_of_logit_matching():
    """Hinton et al. 2015, eq. 4: T^2 dKL/dz -> (z - v) / K for centred logits, whatever T."""
    logits, targets, answers = tensors(*draw(teachers=1, samples=3))
    logits = (logits - logits.mean(1, keepdim=True)).requires_grad_()
    answers = answers - answers.mean(2, keepdim=True)
    parts = ClassDistillation(policy=Static((1.0,)), temperature=2000.0)(logits, targets, answers)
    parts["loss"].backward()
    want = (logits.detach() - answers[:, 0]) / CLASSES / 3
    np.testing.assert_allclose(logits.grad, want, atol=5e-3)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_gradients_by_finite_differences(policy, multi_label):
    logits, targets, answers = (torch.from_numpy(a).double() for a in draw(samples=2, multi_label=multi_label))
    objective = ClassDistillation(
        policy=policy, temperature=2.0, task="multi-label" if multi_label else "classification"
    )
    logits.requires_grad_()
    objective(logits, targets, answers)["loss"].backward()
    step = 1e-2
    for place in [(0, 0), (1, 3)]:
        shifted = []
        for sign in (1, -1):
            moved = logits.detach().clone()
            moved[place] += sign * step
            shifted.append(float(objective(moved, targets, answers)["loss"]))
        assert float(logits.grad[place]) == pytest.approx((shifted[0] - shifted[1]) / (2 * step), abs=2e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_teachers_it_is_the_loss_on_labels(smoothing):
    logits, targets, _ = tensors(*draw())
    parts = ClassDistillation(policy=Confidence(), label_smoothing=smoothing)(logits, targets, None)
    want = F.cross_entropy(logits, targets.argmax(1), label_smoothing=smoothing)
    assert float(parts["loss"]) == pytest.approx(float(want), rel=1e-5)
    assert set(parts) == {"loss", "hard", "distillation"}
    logits, targets, _ = tensors(*draw(multi_label=True))
    parts = ClassDistillation(policy=Confidence(), task="multi-label")(logits, targets, None)
    want = F.binary_cross_entropy_with_logits(logits, targets)
    assert float(parts["loss"]) == pytest.approx(float(want), rel=1e-5)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_a_student_equal_to_its_teachers_is_taught_nothing(policy):
    logits, targets, _ = tensors(*draw())
    answers = logits[:, None].expand(-1, 2, -1)
    for task in ("classification", "multi-label"):
        parts = ClassDistillation(policy=policy, temperature=3.0, task=task)(logits, targets, answers)
        assert float(parts["distillation"]) == pytest.approx(0, abs=1e-5)
    assert float(divergences(logits, answers, 1.0).abs().max()) < 1e-6


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_calibration_divides_the_teachers_logits_first(policy):
    logits, targets, answers = tensors(*draw())
    plain = ClassDistillation(policy=policy)(logits, targets, answers / torch.tensor([1.5, 0.7])[:, None])
    divided = ClassDistillation(policy=policy, teacher_temperatures=(1.5, 0.7))(logits, targets, answers)
    for name, value in plain.items():
        assert float(divided[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_a_map_is_a_batch_of_pixels(policy):
    generator = torch.Generator().manual_seed(4)
    logits, answers = torch.randn(2, 5, 3, 4, generator=generator), torch.randn(2, 2, 5, 3, 4, generator=generator) * 4
    labels = torch.randint(5, (2, 3, 4), generator=generator)
    targets = F.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    targets[0, :, 1] = 0  # a row of pixels without a label
    objective = ClassDistillation(policy=policy, temperature=2.0, task="segmentation")
    dense = objective(logits, targets, answers)
    flat = objective(
        logits.permute(0, 2, 3, 1).reshape(24, 5),
        targets.permute(0, 2, 3, 1).reshape(24, 5),
        answers.permute(0, 3, 4, 1, 2).reshape(24, 2, 5),
    )
    for name, value in flat.items():
        assert float(dense[name]) == pytest.approx(float(value), rel=1e-5, abs=1e-6), name


def test_samples_without_a_label_are_taught_by_teachers_only():
    logits, targets, answers = tensors(*draw())
    targets[3:] = 0
    objective = ClassDistillation(policy=Static((0.3, 0.2)), temperature=2.0, label_smoothing=0.1)
    parts = objective(logits, targets, answers)
    labelled = F.cross_entropy(logits[:3], targets[:3].argmax(1), label_smoothing=0.1)
    assert float(parts["hard"]) == pytest.approx(float(labelled), rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(float(0.5 * labelled + parts["distillation"]), rel=1e-5)
    bare = objective(logits, torch.zeros_like(targets), answers)
    assert float(bare["hard"]) == 0
    assert float(bare["loss"]) == pytest.approx(float(bare["distillation"]))


@pytest.mark.parametrize("task", ["classification", "multi-label"])
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_extreme_logits_stay_finite(policy, task):
    logits, targets, answers = tensors(*draw(scale=3e4))
    logits = (logits * 1e3).requires_grad_()
    parts = ClassDistillation(policy=policy, temperature=1.0, task=task)(logits, targets, answers)
    parts["loss"].backward()
    assert all(bool(torch.isfinite(value)) for value in parts.values())
    assert bool(torch.isfinite(logits.grad).all())


def test_under_bf16_autocast_the_loss_is_that_of_float32():
    logits, targets, answers = tensors(*draw())
    objective = ClassDistillation(policy=Confidence())
    low = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective(low, targets, answers)["loss"]
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(objective(low.float(), targets, answers)["loss"]), rel=1e-5)


def test_the_published_loss_is_reproduced_by_hand():
    """Both teachers sure: alpha + beta = 1, so labels and teachers get half each."""
    logits, targets, answers = tensors(*draw(scale=40.0))
    tau = 5.0
    parts = ClassDistillation(policy=Gated(), temperature=tau)(logits, targets, answers)
    assert float(parts["share_hard"]) == pytest.approx(0.5)
    student = F.log_softmax(logits / tau, 1)
    kls = [F.kl_div(student, F.softmax(answers[:, i] / tau, 1), reduction="batchmean") for i in range(2)]
    want = 0.5 * F.cross_entropy(logits, targets.argmax(1)) + 0.5 * tau**2 * (0.5 * kls[0] + 0.5 * kls[1])
    assert float(parts["loss"]) == pytest.approx(float(want), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperatures > 0"),
        ({"label_smoothing": 1.0}, r"label smoothing in \[0, 1\)"),
        ({"teacher_temperatures": (1.0, -1.0)}, "temperatures > 0"),
        ({"task": "regression"}, "unknown task 'regression'; known: segmentation, classification, multi-label"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        ClassDistillation(policy=Confidence(), **settings)


def test_shapes_that_do_not_fit_are_refused():
    objective = ClassDistillation(policy=Confidence(), teacher_temperatures=(1.0, 2.0))
    logits, targets, answers = tensors(*draw())
    with pytest.raises(SettingsError, match=r"alike, got \(6, 5\) and \(6,\)"):
        objective(logits, targets.argmax(1), answers)
    with pytest.raises(SettingsError, match=r"must be \(6, teachers, 5\) .*same classes"):
        objective(logits, targets, answers[..., :4])
    with pytest.raises(SettingsError, match=r"must be \(6, teachers, 5\)"):
        objective(logits, targets, answers[:, 0])
    with pytest.raises(SettingsError, match=r"2 calibration temperatures and answers of 1 teacher"):
        objective(logits, targets, answers[:, :1])
