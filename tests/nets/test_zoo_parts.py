"""The layers that the zoo adds to timm's networks, and where it puts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.layers import EcaModule
from timm.models.ghostnet import GhostModule
from torch import nn

from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo import build_classifier
from satsqueeze.nets.zoo.attention import ATTENTIONS, ghost_conv, make_attention
from satsqueeze.nets.zoo.wide_resnet import WideBlock, WidenBlock, WideParts


def on_meta(model):
    with torch.device("meta"):
        return build_classifier(ClassifierConfig(model=model, in_channels=3, classes=10))


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_attention_scales_every_value_by_a_share(kind):
    layer, x = make_attention(kind, 32).eval(), torch.rand(2, 32, 5, 7) + 0.5
    shares = (layer(x) / x).detach()
    assert shares.shape == x.shape
    assert 0 < shares.min() < shares.max() < 1
    by_channel = shares.flatten(2).std(dim=2).max() < 1e-6
    assert by_channel == (kind in ("eca", "se"))


def test_no_attention_changes_nothing():
    x = torch.rand(1, 4, 3, 3)
    assert make_attention(None, 4)(x) is x


@pytest.mark.parametrize(("channels", "kernel"), [(32, 3), (56, 3), (64, 3), (116, 3), (128, 5), (232, 5)])
def test_efficient_channel_attention_is_a_convolution_over_channels(channels, kernel):
    """The kernels are those of the published code; the reference slides over the channels' means one by one."""
    layer, x = make_attention("eca", channels), torch.rand(1, channels, 3, 4)
    weight, bias = layer.conv.weight.detach().numpy().ravel(), layer.conv.bias.item()
    assert len(weight) == kernel
    means = np.pad(x.mean(dim=(2, 3)).numpy()[0], kernel // 2)
    scores = [sum(weight[k] * means[c + k] for k in range(kernel)) + bias for c in range(channels)]
    expected = x.numpy()[0] * (1 / (1 + np.exp(-np.array(scores))))[:, None, None]
    assert np.allclose(layer(x).detach().numpy()[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "hidden"), [("se", 128 // 16), ("cbam", 128 // 16), ("coord", 8)], ids=["se", "cbam", "coord"]
)
def test_attention_narrows_as_in_the_benchmark(kind, hidden):
    layer = make_attention(kind, 128)
    assert next(m for m in layer.modules() if isinstance(m, nn.Conv2d)).out_channels == hidden


def test_half_of_a_ghost_convolution_is_dense():
    layer = ghost_conv(6, 10, kernel=3, stride=2)
    convs = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.groups) for c in convs] == [(6, 5, 1), (5, 5, 5)]
    assert layer(torch.rand(2, 6, 8, 8)).shape == (2, 10, 4, 4)
    assert ghost_conv(6, 7, kernel=1)(torch.rand(2, 6, 8, 8)).shape == (2, 7, 8, 8)


@pytest.mark.parametrize("parts", [WideParts(), WideParts(attention="eca", ghost=True)], ids=["plain", "eca ghost"])
def test_silent_branches_leave_the_shortcut(parts):
    first, further = WidenBlock(4, 8, 2, parts).eval(), WideBlock(8, parts).eval()
    for block in (first, further):
        for layer in block.branch.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                nn.init.zeros_(layer.weight)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(first(x), first.shortcut(x))
    y = torch.randn(2, 8, 6, 6)
    before = y.clone()
    assert torch.equal(further(y), before)
    assert torch.equal(y, before)


def test_ghosts_take_the_place_of_dense_convolutions():
    plain, ghost = on_meta("efficientnet-b0"), on_meta("efficientnet-b0-eca-ghost")
    dense = [m for n, m in plain.named_modules() if n.endswith(("conv_pw", "conv_pwl"))]
    ghosts = [m for m in ghost.modules() if isinstance(m, GhostModule)]
    assert [g.out_chs for g in ghosts] == [c.out_channels for c in dense]
    assert len([m for m in ghost.modules() if isinstance(m, EcaModule)]) == 16
    assert not any(n.endswith("conv_reduce") for n, _ in ghost.named_modules())


def test_vgg_decides_on_the_mean_of_its_last_map():
    assert sum(m.weight.numel() for m in on_meta("vgg16").modules() if isinstance(m, nn.Linear)) == 512 * 10
    assert len([m for m in on_meta("vgg19").modules() if isinstance(m, nn.Conv2d)]) == 16


@pytest.mark.parametrize(
    "model", ["resnet8", "wrn-eca", "vit12", "mlp-mixer", "vgg16", "mobilevit-xxs", "efficientvit-m0"]
)
def test_drop_out_comes_before_the_decision(model):
    with torch.device("meta"):
        net = build_classifier(ClassifierConfig(model=model, in_channels=3, classes=10, dropout=0.25))
        without = build_classifier(ClassifierConfig(model=model, in_channels=3, classes=10))
    assert 0.25 in _drop_rates(net)
    assert 0.25 not in _drop_rates(without)


def _drop_rates(net):
    return {m.p for m in net.modules() if isinstance(m, nn.Dropout)} | {
        m.drop_rate for m in net.modules() if isinstance(getattr(m, "drop_rate", None), float)
    }
