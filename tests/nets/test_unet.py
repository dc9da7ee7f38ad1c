from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from satsqueeze.core.errors import GridError
from satsqueeze.nets.cost import count_parameters
from satsqueeze.nets.unet import UNet, UNetConfig


def _count(config):
    with torch.device("meta"):
        return count_parameters(UNet(config))


# Counted by building the networks with nnU-Net's own library (dynamic-network-architectures 0.4.4), 4 bands, 2 classes.
# It creates a head on every decoder stage whether deep supervision is on or not, so all heads are in these figures.
@pytest.mark.parametrize(
    ("stages", "encoder", "parameters"),
    [
        (6, "plain", 20_619_946),
        (7, "plain", 33_472_684),
        (8, "plain", 46_325_422),
        (6, "residual", 71_817_450),
        (7, "residual", 105_917_676),
        (8, "residual", 140_017_902),
    ],
)
def test_planned_networks_have_nnunets_parameters_heads_of_all_stages_included(planned, stages, encoder, parameters):
    config = planned(stages, encoder)
    assert _count(config) == parameters
    coarse_heads = sum(2 * features + 2 for features in config.features[1:-1])
    assert _count(replace(config, deep_supervision=False)) == parameters - coarse_heads


def test_the_plain_network_is_what_its_description_says():
    """The forward pass again, written out with functions."""
    torch.manual_seed(0)
    config = UNetConfig(
        in_channels=2,
        classes=3,
        features=(4, 6, 8),
        strides=(1, 2, (2, 1)),
        convs_encoder=(2, 2, 2),
        convs_decoder=(2, 1),
        deep_supervision=True,
    )
    net = UNet(config)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    weights = iter(net.state_dict().items())

    def take(*, suffix):
        key, value = next(weights)
        assert key.endswith(suffix), key
        return value

    def unit(x, stride=1):
        x = nn.functional.conv2d(x, take(suffix="weight"), take(suffix="bias"), stride=stride, padding=1)
        x = nn.functional.instance_norm(x, weight=take(suffix="weight"), bias=take(suffix="bias"), eps=1e-5)
        return nn.functional.leaky_relu(x, 0.01)

    image = torch.randn(2, 2, 8, 8)
    fine = unit(unit(image))
    middle = unit(unit(fine, 2))
    coarse = unit(unit(middle, (2, 1)))
    ups = [(take(suffix="weight"), take(suffix="bias")) for _ in range(2)]
    up = nn.functional.conv_transpose2d(coarse, *ups[0], stride=(2, 1))
    middle = unit(unit(torch.cat([up, middle], 1)))
    up = nn.functional.conv_transpose2d(middle, *ups[1], stride=2)
    fine = unit(torch.cat([up, fine], 1))
    expected = [nn.functional.conv2d(x, take(suffix="weight"), take(suffix="bias")) for x in (middle, fine)][::-1]
    net.train()
    found = net(image)
    assert [tuple(logits.shape) for logits in found] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    for ours, oracle in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.eval()(image), expected[0], rtol=1e-4, atol=1e-5)


def test_a_residual_network_starts_as_its_shortcuts():
    torch.manual_seed(0)
    config = UNetConfig(
        in_channels=3,
        classes=2,
        features=(4, 4),
        strides=(1, 2),
        convs_encoder=(2, 1),
        convs_decoder=(1,),
        encoder="residual",
    )
    net = UNet(config)
    image = torch.randn(1, 3, 8, 8)
    stem = net.stem(image)
    # LeakyReLU after each addition: the stem is activated already, so two more shrink negatives twice.
    expected = nn.functional.leaky_relu(nn.functional.leaky_relu(stem, 0.01), 0.01)
    torch.testing.assert_close(net.stages[0](stem), expected)
    pooled = nn.functional.avg_pool2d(expected, 2)
    torch.testing.assert_close(net.stages[1](expected), nn.functional.leaky_relu(pooled, 0.01))


def test_weights_start_as_in_nnunet(planned):
    torch.manual_seed(0)
    net = UNet(planned(4, top=64))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert not module.bias.any()
            fan_in = module.weight[0].numel()
            expected = (2 / (1 + 0.01**2) / fan_in) ** 0.5
            # The sample standard deviation of n normal numbers scatters by about 1 / sqrt(2 n).
            tolerance = 5 / (2 * module.weight.numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=tolerance)
        elif isinstance(module, nn.InstanceNorm2d):
            assert module.eps == 1e-5
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_a_bottleneck_of_one_cell_is_refused_by_instance_norm(planned):
    net = UNet(planned(3, base=4))
    with pytest.raises(GridError, match="use at least 8 px"):
        net(torch.zeros(1, 4, 4, 4))
    assert net.eval()(torch.zeros(1, 4, 4, 8)).shape == (1, 2, 4, 8)


def test_a_stem_of_two_is_a_convolution_of_cells():
    """A 4x4 convolution of stride 2 equals a 3x3 one over 2x2 cells with the outer ring of each border half used."""
    torch.manual_seed(0)
    config = UNetConfig(
        in_channels=2, classes=2, features=(4, 4), strides=(1, 2), convs_encoder=(1, 1), convs_decoder=(1,), stem=2
    )
    convolution = UNet(config).stem[0]
    assert convolution.kernel_size == (4, 4)
    image = torch.randn(1, 2, 8, 8)
    cells = nn.functional.pixel_unshuffle(nn.functional.pad(image, (2, 2, 2, 2)), 2)
    wide = nn.functional.pad(convolution.weight, (1, 1, 1, 1))
    over_cells = nn.functional.pixel_unshuffle(wide, 2).reshape(4, 8, 3, 3)
    expected = nn.functional.conv2d(cells, over_cells, convolution.bias)
    torch.testing.assert_close(convolution(image), expected)


def test_channels_last_changes_the_layout_only():
    torch.manual_seed(0)
    config = UNetConfig(
        in_channels=4,
        classes=2,
        features=(8, 16),
        strides=(1, 2),
        convs_encoder=(2, 2),
        convs_decoder=(2,),
        norm="batch",
    )
    net = UNet(config).eval()
    image = torch.randn(2, 4, 16, 16)
    with torch.no_grad():
        usual = net(image)
        net.to(memory_format=torch.channels_last)
        other = net(image.contiguous(memory_format=torch.channels_last))
    assert other.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(usual.numpy(), other.contiguous().numpy(), rtol=1e-4, atol=1e-5)
