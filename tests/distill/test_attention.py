"""The distance of attention maps, against an independent computation."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.distill.attention import AttentionTransfer, attention_distance
from satsqueeze.distill.attention_energy import energy, unit_map
from satsqueeze.distill.attention_layer import FeatureLayer, feature_layer
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model

BANDS, CLASSES = ("red", "green", "blue"), tuple("abcde")


def oracle(features, taught):
    """Loops over images and cells, in float64."""
    cells = min(*features.shape[2:], *taught.shape[1:])
    total = 0.0
    for image, other in zip(features.astype(float), taught.astype(float), strict=True):
        found = []
        for heat in ((image**2).sum(axis=0), other):
            pooled = np.zeros((cells, cells))
            for row in range(cells):
                for col in range(cells):
                    rows, cols = (
                        slice(math.floor(place * side / cells), math.ceil((place + 1) * side / cells))
                        for place, side in zip((row, col), heat.shape, strict=True)
                    )
                    pooled[row, col] = heat[rows, cols].mean()
            found.append(pooled / math.sqrt((pooled**2).sum()))
        total += ((found[0] - found[1]) ** 2).sum() / 2
    return total / len(features)


@pytest.mark.parametrize(("ours", "theirs"), [(4, 4), (16, 8), (17, 8), (4, 8), (5, 7)])
def test_the_distance_is_that_of_the_definition(ours, theirs):
    generator = np.random.default_rng(ours)
    features = generator.normal(size=(3, 6, ours, ours)).astype(np.float32)
    taught = generator.uniform(size=(3, theirs, theirs)).astype(np.float32)
    found = attention_distance(torch.from_numpy(features), torch.from_numpy(taught))
    assert float(found) == pytest.approx(oracle(features, taught), rel=1e-5)


def test_equal_looks_cost_nothing_whatever_their_strength_and_channels():
    heat = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    features = torch.stack([heat.sqrt() * 0.6, -heat.sqrt() * 0.8], dim=1)
    assert torch.allclose(energy(features), heat)
    assert float(attention_distance(7 * features, heat)) == pytest.approx(0, abs=1e-6)
    # The mean over blocks of a map is the map of the blocks' means.
    coarse = heat.reshape(2, 4, 2, 4, 2).mean(dim=(2, 4))
    assert float(attention_distance(features, coarse)) == pytest.approx(0, abs=1e-6)


def test_looks_without_a_cell_in_common_cost_the_weight():
    features, taught = torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4)
    features[0, 0, 0, 1], taught[0, 2, 3] = 3.0, 0.2
    assert float(attention_distance(features, taught)) == pytest.approx(1)
    guide = AttentionTransfer(weight=5.0, layer="net", maps=None)
    assert float(guide(features, (taught,))) == pytest.approx(5)
    # Of two teachers the mean: the other one looks where the student does.
    assert float(guide(features, (taught, features[:, 0]))) == pytest.approx(2.5)


def test_the_gradient_is_that_of_finite_differences_and_finite_where_nothing_reacts():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 4, 4, generator=generator).requires_grad_()
    taught = torch.rand(2, 4, 4, generator=generator)
    (slope,) = torch.autograd.grad(attention_distance(features, taught), features)
    values = features.detach().numpy().astype(float)
    for place in ((0, 0, 0, 0), (1, 2, 3, 1)):
        ahead, back = values.copy(), values.copy()
        ahead[place] += 1e-5
        back[place] -= 1e-5
        expected = (oracle(ahead, taught.numpy()) - oracle(back, taught.numpy())) / 2e-5
        assert float(slope[place]) == pytest.approx(expected, rel=1e-3)
    dead = torch.zeros(1, 3, 4, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(attention_distance(dead, taught[:1]), dead)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_unit_maps_are_in_fp32_whatever_the_precision_of_training():
    features = torch.randn(1, 8, 4, 4, dtype=torch.bfloat16)
    found = unit_map(energy(features), 4)
    assert found.dtype == torch.float32
    assert float(found.square().sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_weights_are_positive(weight):
    with pytest.raises(SettingsError, match=r"must be > 0 and finite"):
        AttentionTransfer(weight=weight, layer="net", maps=None)


def test_another_number_of_images_is_refused():
    with pytest.raises(SettingsError, match="features of 2 images and maps of 3"):
        attention_distance(torch.ones(2, 1, 4, 4), torch.ones(3, 4, 4))


def model_of(name, size=64):
    config = ClassifierConfig(model=name, in_channels=3, classes=5, size=size)
    scaling = Scaling(bands=BANDS, mean=(0.1,) * 3, std=(0.05,) * 3)
    card = ModelCard(
        name=name,
        family="zoo",
        config=config,
        scaling=scaling,
        bands=BANDS,
        classes=CLASSES,
        foreground=(),
        task="classification",
    )
    return build_model(card, seed=0)


@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("resnet8", "net.body.stages", 16),
        ("texture-10k", "net.body.scales.1", 16),
        ("wrn-eca-b2", "net.body.groups", 16),
        ("mobilevitv2-075", "net.body.stages.3", 4),
        ("efficientvit-m2", "net.body.stages.0", 4),
        ("efficientnet-b0", "net.body.blocks.4", 4),
    ],
)
def test_attention_is_read_at_the_end_of_the_last_stage_with_places(name, layer, side):
    model = model_of(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert feature_layer(model) == FeatureLayer(name=layer, side=side)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_networks_without_maps_are_refused():
    with pytest.raises(
        SettingsError, match=r"vit6 has no map of at least 4 x 4 cells for images of 64 px.*attention to 0"
    ):
        feature_layer(model_of("vit6"))
    with pytest.raises(SettingsError, match="resnet8 has no map of at least 40 x 40"):
        feature_layer(model_of("resnet8", size=32), least=40)
    other = SimpleNamespace(card=SimpleNamespace(config=None, family="unet"))
    with pytest.raises(SettingsError, match="classifiers of the zoo, got a network of unet"):
        feature_layer(other)
