"""A classifier's stages under a decoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.encoder_unet import EncoderUNet, EncoderUNetConfig
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.receptive import receptive_field

CONFIG = EncoderUNetConfig(in_channels=4, classes=3)


@pytest.mark.parametrize("changes", [{}, {"model": "resnet16", "convs_decoder": 2}, {"upsample": "nearest"}])
def test_logits_of_every_pixel_and_gradients_of_every_weight(card_of, changes, tmp_path):
    config = EncoderUNetConfig(in_channels=4, classes=3, **changes)
    card = card_of(config, family="encoder-unet")
    assert ModelCard.from_dict(card.to_dict()) == card
    model = build_model(card, seed=0)
    logits = model(torch.rand(2, 4, 20, 12))
    assert logits.shape == (2, 3, 20, 12)
    logits.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    model.eval()
    save_model(model, tmp_path)
    image = torch.rand(1, 4, 8, 8)
    assert torch.equal(load_model(tmp_path)(image), model(image))
    assert (model.size_multiple, model.window_invariant) == (4, True)


@pytest.mark.parametrize("changes", [{}, {"model": "resnet16", "convs_decoder": 2, "upsample": "nearest"}])
def test_the_reach_is_that_of_gradients(card_of, changes):
    model = build_model(card_of(EncoderUNetConfig(in_channels=1, classes=2, **changes), family="encoder-unet"), seed=0)
    model.eval()
    # Without ReLU no gradient is lost on its way.
    model.apply(
        lambda module: module.register_forward_hook(lambda _, x, __: x[0]) if isinstance(module, nn.ReLU) else 0
    )
    side, reach = 160, 0
    for offset in range(4):
        image = torch.rand(1, 1, side, side, requires_grad=True)
        place = side // 2 + offset
        (model(image)[0, 1, place, place]).backward()
        rows = image.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
        reach = max(reach, place - int(rows[0]), int(rows[-1]) - place)
    assert receptive_field(model) == reach


def test_wrong_images():
    net = EncoderUNet(CONFIG)
    with pytest.raises(BandError, match=r"\(N, 4, H, W\), got \(1, 3, 8, 8\)"):
        net(torch.rand(1, 3, 8, 8))
    with pytest.raises(GridError, match="multiples of 4 px, got 10 x 8"):
        net(torch.rand(1, 4, 10, 8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet50"}, "on 'resnet50' .* one of resnet8, resnet16"),
        ({"upsample": "cubic"}, "transposed or nearest"),
        ({"classes": 0}, "at least 1, got 4, 0 and 1"),
    ],
)
def test_refused_configs(changes, message):
    with pytest.raises(SettingsError, match=message):
        EncoderUNetConfig(**{"in_channels": 4, "classes": 3} | changes)
    with pytest.raises(SettingsError, match="not a configuration"):
        EncoderUNetConfig.from_dict({"name": "x"})
