"""Transposed convolutions without overlap as 1x1 convolutions and shuffles."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from satsqueeze.export.shuffle import shuffle_transposed


@pytest.mark.parametrize(("side", "bias"), [(2, True), (2, False), (4, True)])
def test_the_same_sums(side, bias):
    torch.manual_seed(0)
    layer = nn.Sequential(nn.ConvTranspose2d(5, 3, side, stride=side, bias=bias)).double()
    image = torch.rand(2, 5, 4, 6, dtype=torch.float64)
    want = layer(image)
    found = shuffle_transposed(layer.float()).double()(image)
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in layer.modules())
    torch.testing.assert_close(found, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, stride=2),
        nn.ConvTranspose2d(4, 4, (2, 4), stride=(2, 4)),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, padding=1),
        nn.ConvTranspose2d(4, 4, 2, stride=2, dilation=2),
    ],
    ids=["overlap", "oblong", "groups", "padding", "dilation"],
)
def test_others_are_left_alone(layer):
    model = nn.Sequential(layer)
    assert shuffle_transposed(model)[0] is layer
