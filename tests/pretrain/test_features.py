"""Features of every kind of network, and their values at points."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.encoder_unet import EncoderUNetConfig
from satsqueeze.nets.model import build_model
from satsqueeze.nets.students import STUDENTS
from satsqueeze.pretrain.features import Backbone, sampled

from .conftest import BANDS, make_card


def test_decoder_features_are_what_the_head_reads():
    model = build_model(make_card(), seed=0).eval()
    image = torch.rand(2, 4, 16, 16)
    backbone = Backbone(model, "decoder")
    features = backbone(image)
    assert features.shape == (2, 6, 16, 16)
    assert backbone.channels == 6
    assert torch.allclose(model.net.heads[-1](features), model(image))
    assert not model.net.heads[-1]._forward_pre_hooks


def test_with_deep_supervision_it_is_the_finest_head():
    card = make_card(
        features=(4, 6, 8), strides=(1, 2, 2), convs_encoder=(1,) * 3, convs_decoder=(1,) * 2, deep_supervision=True
    )
    model = build_model(card, seed=0).train()
    assert Backbone(model, "decoder")(torch.rand(2, 4, 16, 16)).shape == (2, 4, 16, 16)


@pytest.mark.parametrize("name", ["unet-4", "lite-4", "unet-4x5"])
@pytest.mark.parametrize("scope", ["decoder", "encoder"])
def test_students(name, scope):
    card = replace(make_card(), config=STUDENTS[name].fitted(in_channels=4, classes=1))
    model = build_model(card, seed=0)
    backbone = Backbone(model, scope)
    features = backbone(torch.rand(2, 4, 64, 64))
    assert features.shape[1] == backbone.channels
    assert features.shape[2] == {"decoder": 64, "encoder": 64 * card.config.stem // card.config.size_multiple}[
        scope
    ] // (card.config.stem)
    features.square().mean().backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    trained = set(backbone.trained())
    assert reached <= trained
    assert not any("heads" in name or "cells_to_pixels" in name for name in trained)
    assert any("decoders" in name for name in trained) is (scope == "decoder")


@pytest.mark.parametrize("encoder", ["plain", "residual"])
def test_planned_networks_with_instance_norms(encoder):
    model = build_model(make_card(encoder=encoder, norm="instance", activation="leaky"), seed=0)
    for scope, width in (("decoder", 6), ("encoder", 8)):
        assert Backbone(model, scope)(torch.rand(1, 4, 16, 16)).shape[1] == width


def test_a_unet_on_a_classifier():
    plain = make_card()
    card = ModelCard(
        name="e",
        family="encoder-unet",
        config=EncoderUNetConfig(in_channels=4, classes=1),
        scaling=plain.scaling,
        bands=BANDS,
        classes=("x",),
        foreground=(),
    )
    model = build_model(card, seed=0).eval()
    image = torch.rand(1, 4, 32, 32)
    assert torch.allclose(model.net.to_logits(Backbone(model, "decoder")(image)), model(image))
    assert Backbone(model, "encoder")(image).shape[2] == 32 // model.size_multiple


def test_a_network_that_does_not_fit():
    with pytest.raises(SettingsError, match="scope must be decoder or encoder"):
        Backbone(build_model(make_card(), seed=0), "all")


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_points_are_met_at_every_resolution(stride):
    rows, cols = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    image = torch.stack([rows, cols])[None]
    features = functional.avg_pool2d(image, stride)
    points = 3 + 9 * torch.rand(1, 20, 2)
    found = sampled(features, points, size=16)
    assert torch.allclose(found[0].T, points[0], atol=1e-4)
