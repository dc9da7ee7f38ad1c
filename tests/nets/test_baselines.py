from __future__ import annotations

import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.baselines import SmpUNet, SmpUNetConfig
from satsqueeze.nets.cost import cost
from satsqueeze.nets.receptive import receptive_field

CONFIG = SmpUNetConfig(in_channels=4, classes=2)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return SmpUNet(CONFIG).eval()


def test_the_network_is_the_librarys_own(net):
    image = torch.rand(1, 4, 32, 64)
    with torch.no_grad():
        assert torch.equal(net(image), net.net(image))


def test_parameters_of_the_benchmark_network(model_of):
    """ResNet-34 for ImageNet has 21,797,672 parameters, of which 513,000 classify; a fourth band adds 64 x 49."""
    model = model_of(CONFIG, family="smp-unet-resnet34")
    encoder = sum(parameter.numel() for parameter in model.net.net.encoder.parameters())
    assert encoder == 21_797_672 - 513_000 + 64 * 49
    assert cost(model, height=64, width=64).parameters > encoder


def test_the_receptive_field_is_where_gradients_come_from(model_of):
    """Along one axis, at the pixel of a cell that looks farthest."""
    model = model_of(CONFIG, family="smp-unet-resnet34")
    reach = receptive_field(model)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 1.0 / max(1, parameter[0].numel()))
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(layer.weight, 1.0)
            torch.nn.init.constant_(layer.bias, 0.0)
    # At the far ends the gradients are products of hundreds of small numbers.
    model.double().eval()
    margin = -(-(reach + 1) // 32) * 32
    position = margin + 30
    # All positive, so that ReLU passes everything; falling, so that max-pooling shows the first of its window.
    image = torch.linspace(2, 1, 2 * margin + 32).expand(1, 4, 32, -1).clone().requires_grad_()
    model(image)[..., position].sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert position - int(seen.min()) == reach
    assert int(seen.max()) - position <= reach


def test_unknown_encoders_and_settings_are_refused():
    with pytest.raises(SettingsError, match="unknown encoder 'resnet33'"):
        SmpUNet(SmpUNetConfig(in_channels=4, classes=2, encoder="resnet33"))
    with pytest.raises(SettingsError, match="at least 1"):
        SmpUNetConfig(in_channels=0, classes=2)
    with pytest.raises(SettingsError, match="depth"):
        SmpUNetConfig.from_dict({**CONFIG.to_dict(), "depth": 5})
    assert SmpUNetConfig.from_dict(CONFIG.to_dict()) == CONFIG
