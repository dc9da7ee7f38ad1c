"""Losses against closed forms and slow references."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.losses import DiceCE, cross_entropy, labels_at, scale_weights, soft_dice


def random_case(seed=0, classes=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 7, generator=generator)
    labels = torch.randint(0, classes, (2, 5, 7), generator=generator)
    labels[0, :2] = 255
    return logits, labels


def slow_dice(probabilities, labels, smooth):
    p, y = probabilities.numpy().astype(np.float64), labels.numpy()
    values = []
    for k in range(1, p.shape[1]):
        hit = predicted = truth = 0.0
        for n, row, col in np.ndindex(*y.shape):
            if y[n, row, col] != 255:
                hit += p[n, k, row, col] * (y[n, row, col] == k)
                predicted += p[n, k, row, col]
                truth += y[n, row, col] == k
        values.append((2 * hit + smooth) / (predicted + truth + smooth))
    return np.mean(values)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_soft_dice_is_the_slow_sum(classes):
    logits, labels = random_case(classes=classes)
    probabilities = logits.softmax(1)
    assert soft_dice(probabilities, labels).item() == pytest.approx(slow_dice(probabilities, labels, 1e-5), rel=1e-5)


def test_cross_entropy_is_torchs_with_ignore():
    logits, labels = random_case()
    expected = functional.cross_entropy(logits, labels, ignore_index=255)
    assert cross_entropy(logits.log_softmax(1), labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_perfect_prediction_costs_nothing_and_the_opposite_everything():
    labels = torch.tensor([[[0, 1], [1, 255]]])
    logits = functional.one_hot(labels.clamp(max=1), 2).permute(0, 3, 1, 2) * 200.0
    assert DiceCE()(logits, labels)["loss"].item() == pytest.approx(0, abs=1e-5)
    assert DiceCE()(-logits, labels)["dice"].item() == pytest.approx(1, abs=1e-4)


def test_ignored_pixels_have_no_gradient():
    logits, labels = random_case()
    logits.requires_grad_()
    DiceCE()(logits, labels)["loss"].backward()
    ignored = (labels == 255)[:, None].expand_as(logits)
    assert logits.grad[ignored].abs().max() == 0
    assert logits.grad[~ignored].abs().min() > 0


def test_all_ignored_is_finite():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    losses = DiceCE()(logits, torch.full((1, 4, 4), 255))
    losses["loss"].backward()
    assert losses["loss"].item() == pytest.approx(0)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("scales", "expected"), [(1, (1.0,)), (2, (1.0, 0.0)), (3, (2 / 3, 1 / 3, 0.0)), (4, (4 / 7, 2 / 7, 1 / 7, 0.0))]
)
def test_scale_weights(scales, expected):
    assert scale_weights(scales) == pytest.approx(expected)


def test_no_scale_is_refused():
    with pytest.raises(SettingsError, match="at least one output"):
        scale_weights(0)


def test_deep_supervision_is_the_weighted_mean_of_its_outputs():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (2, 16, 16), generator=generator)
    outputs = [torch.randn(2, 2, size, size, generator=generator) for size in (16, 8, 4)]
    single = [
        DiceCE()(out, labels[:, s // 2 :: s, s // 2 :: s])["loss"] for out, s in zip(outputs, (1, 2, 4), strict=True)
    ]
    expected = 2 / 3 * single[0] + 1 / 3 * single[1]
    assert DiceCE()(outputs, labels)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_parts_and_weights():
    logits, labels = random_case()
    losses = DiceCE(dice=2.0, cross_entropy=0.5)(logits, labels)
    assert losses["loss"].item() == pytest.approx(2 * losses["dice"].item() + 0.5 * losses["cross_entropy"].item())
    uniform = DiceCE()(torch.zeros(1, 4, 3, 3), torch.zeros(1, 3, 3, dtype=torch.long))
    assert uniform["cross_entropy"].item() == pytest.approx(math.log(4))


def test_labels_at_keeps_type_and_ignore():
    labels = torch.full((1, 8, 8), 255)
    small = labels_at(labels, (4, 4))
    assert small.dtype == labels.dtype
    assert small.unique().tolist() == [255]
