"""Folded or not, a network gives the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from satsqueeze.core.errors import ExportError
from satsqueeze.export.folding import fold_batchnorm


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("unet", {}),
        ("lite", {}),
        ("unet", {"separable": True, "activation": "leaky"}),
        ("unet", {"encoder": "residual", "downsample": "stride"}),
    ],
)
def test_networks_stay_the_same(make_model, family, changes):
    model = make_model(family, **changes)
    image = torch.rand(2, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batchnorm(model, image[:1])
    assert norms(model)
    assert not norms(folded)
    with torch.no_grad():
        torch.testing.assert_close(folded(image), model(image), atol=1e-4, rtol=1e-4)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)


def test_closed_form():
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)
    with torch.no_grad():
        conv.weight.fill_(3)
        conv.bias.fill_(5)
        norm.weight.fill_(2)
        norm.bias.fill_(7)
    norm.running_mean.fill_(1)
    norm.running_var.fill_(4)
    folded = fold_batchnorm(nn.Sequential(conv, norm), torch.ones(1, 1, 2, 2))
    assert folded[0].weight.item() == pytest.approx(3 * 2 / 2)
    assert folded[0].bias.item() == pytest.approx((5 - 1) * 2 / 2 + 7)


def test_transposed_convolutions_are_folded_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, 2, stride=2), nn.BatchNorm2d(5), nn.ReLU()).eval()
    model[1].running_mean.uniform_(-1, 1)
    model[1].running_var.uniform_(0.5, 2)
    image = torch.rand(1, 3, 4, 6)
    folded = fold_batchnorm(model, image)
    assert not norms(folded)
    torch.testing.assert_close(folded(image), model(image))


def test_a_norm_that_no_convolution_feeds_stays():
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)).eval()
    assert len(norms(fold_batchnorm(model, torch.rand(1, 2, 4, 4)))) == 1


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
        self.norm.running_mean.fill_(3)

    def forward(self, x):
        x = self.conv(x)
        return self.norm(x) + x


def test_a_convolution_that_feeds_more_than_its_norm_is_refused():
    torch.manual_seed(0)
    with pytest.raises(ExportError, match="something else as well"):
        fold_batchnorm(Shared().eval(), torch.rand(1, 2, 4, 4))
