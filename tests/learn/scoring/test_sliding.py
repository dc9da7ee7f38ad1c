"""Sliding windows against whole-image prediction."""

import numpy as np
import pytest
import torch
from torch import nn

from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.learn.scoring.sliding import importance, mask_of, predict_logits, probabilities_of


class PerPixel(nn.Module):
    """Logits that depend on one pixel only, and how often it was called."""

    def __init__(self, size_multiple=1):
        super().__init__()
        self.size_multiple = size_multiple
        self.calls = []

    def forward(self, x):
        self.calls.append(tuple(x.shape))
        return torch.stack([x[:, 0] * 2, x[:, 1] - x[:, 2], x.sum(1)], dim=1)


class Lopsided(PerPixel):
    """Sees its right neighbour."""

    def forward(self, x):
        return x[:, :2] + x.roll(-1, dims=-1)[:, :2]


def image(height, width, seed=0):
    return np.random.default_rng(seed).random((4, height, width), dtype=np.float32)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (17, 53), (8, 8), (5, 64), (16, 16)])
@pytest.mark.parametrize("gaussian", [True, False])
def test_pixelwise_model_is_unchanged_by_windows(height, width, gaussian):
    model, values = PerPixel(), image(height, width)
    expected = model(torch.from_numpy(values)[None])[0].numpy()
    got = predict_logits(model, values, window=16, gaussian=gaussian)
    assert got.dtype == np.float32
    assert got.shape == (3, height, width)
    assert np.abs(got - expected).max() < 1e-5


def test_sizes_given_to_the_model_are_multiples():
    model = PerPixel(size_multiple=8)
    predict_logits(model, image(21, 50), window=30)
    assert {shape[2:] for shape in model.calls} == {(24, 32)}


def test_no_call_exceeds_the_pixel_cap():
    model = PerPixel()
    predict_logits(model, image(64, 1100), window=64, overlap=0.99)
    assert max(n * h * w for n, _, h, w in model.calls) <= 2**20


def test_mirroring_averages_over_the_four_views():
    model, values = Lopsided(), image(12, 12)
    x = torch.from_numpy(values)[None]
    views = [model(x.flip(axes)).flip(axes) if axes else model(x) for axes in ((), (-1,), (-2,), (-2, -1))]
    expected = torch.stack(views).mean(0)[0].numpy()
    assert np.abs(predict_logits(model, values, window=12, mirror=True) - expected).max() < 1e-6


def test_importance_is_a_symmetric_bell_without_zeros():
    weights = importance(64, 48)
    assert weights.shape == (64, 48)
    assert weights.max() == 1
    assert weights.min() > 0
    assert torch.equal(weights, weights.flip(0))
    assert torch.equal(weights, weights.flip(1))
    # One sigma (an eighth of the window) from the centre.
    assert (weights[32 + 8, 24] / weights[32, 24]).item() == pytest.approx(np.exp(-0.5 * (8.5**2 - 0.5**2) / 64))


def test_gaussian_prefers_centres():
    class Column(nn.Module):
        size_multiple = 1

        def forward(self, x):
            columns = torch.arange(x.shape[-1], dtype=torch.float32).expand(x[:, :1].shape)
            return torch.cat([columns, -columns], dim=1)

    values = image(16, 24)
    flat = predict_logits(Column(), values, window=16, gaussian=False)[0, 8]
    bell = predict_logits(Column(), values, window=16)[0, 8]
    # Column 10 is close to the centre of the first window (10 - 7.5) and near the edge of the second (2 - 7.5).
    assert flat[10] == pytest.approx(6)
    assert bell[10] > 8


def test_training_mode_is_restored(model):
    model.train()
    predict_logits(model, image(16, 16), window=16)
    assert model.training


def test_bf16_is_close(model):
    full = predict_logits(model, image(32, 32), window=32)
    half = predict_logits(model, image(32, 32), window=32, precision="bf16")
    assert 0 < np.abs(full - half).max() < 0.1


def test_bad_input(model):
    with pytest.raises(GridError, match=r"must be \(C, H, W\)"):
        predict_logits(model, image(8, 8)[0], window=8)
    with pytest.raises(GridError, match="overlap 1"):
        predict_logits(model, image(8, 8), window=8, overlap=1)
    with pytest.raises(SettingsError, match="got 'fp16'"):
        predict_logits(model, image(8, 8), window=8, precision="fp16")


def test_probabilities_and_mask():
    logits = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    assert np.allclose(probabilities_of(logits), torch.from_numpy(logits).softmax(0).numpy(), atol=1e-6)
    assert np.array_equal(mask_of(logits), logits.argmax(0))
    assert mask_of(np.zeros((2, 1, 1), np.float32))[0, 0] == 0
    assert probabilities_of(np.zeros((2, 0, 3), np.float32)).shape == (2, 0, 3)
