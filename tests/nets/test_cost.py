from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from satsqueeze.core.errors import GridError
from satsqueeze.nets.cost import cost, cost_of_network, count_parameters
from satsqueeze.nets.students import plain_student
from satsqueeze.nets.unet_config import UNetConfig


def _macs_by_hand(config, size):
    """Every convolution of a plain network: outputs x kernel area x inputs; a transposed one once per input."""
    total, channels, edge = 0, config.in_channels, size
    edges = []
    for features, stride, convs in zip(config.features, config.strides, config.convs_encoder, strict=True):
        edge //= stride
        edges.append(edge)
        for i in range(convs):
            total += edge**2 * 9 * features * (channels if i == 0 else features)
        channels = features
    stages = list(zip(config.features, edges, strict=True))
    for ((fine, fine_edge), (coarse, coarse_edge)), convs in zip(
        reversed(list(pairwise(stages))), config.convs_decoder, strict=True
    ):
        total += coarse_edge**2 * coarse * fine * 4
        total += sum(fine_edge**2 * 9 * fine * (2 * fine if i == 0 else fine) for i in range(convs))
    return total + size**2 * config.features[0] * config.classes


@pytest.mark.parametrize("base", [2, 7])
def test_macs_are_those_counted_by_hand(model_of, base):
    config = plain_student(base, 4, in_channels=5, classes=3)
    found = cost(model_of(config), height=64, width=64)
    assert found.macs == _macs_by_hand(config, 64)
    assert found.macs_per_pixel == found.macs / 64**2
    assert (found.height, found.width) == (64, 64)


def test_the_planned_network_costs_what_the_paper_facts_say(model_of, planned):
    """46.3 M parameters, 59.8 GMAC at 512 x 512 without the coarse heads, which evaluation does not run."""
    config = planned(8)
    # On the meta device, so that 46 million weights are neither drawn nor held.
    with torch.device("meta"):
        model = model_of(config)
    found = cost(model, height=512, width=512)
    assert found.parameters == 46_325_422
    assert found.macs == _macs_by_hand(config, 512)
    assert found.macs / 1e9 == pytest.approx(59.8, abs=0.05)


def test_peak_activations_are_those_of_the_finest_concatenation(model_of):
    """unet-8 at full size holds the up-sampled map and the skip of 8 channels, and their 16-channel concatenation."""
    found = cost(model_of(plain_student(8, 4)), height=64, width=128)
    assert found.peak_activation_bytes == 4 * 64 * 128 * (8 + 8 + 16)


def test_peak_activations_of_a_network_worked_out_by_hand(model_of):
    config = UNetConfig(
        in_channels=3,
        classes=2,
        features=(4, 64),
        strides=(1, 2),
        convs_encoder=(1, 2),
        convs_decoder=(1,),
        norm="batch",
        skip="add",
    )
    # In quarters of a full-resolution channel: the skip 4 x 4, the bottleneck's two convolutions 64 each.
    assert cost(model_of(config), height=32, width=32).peak_activation_bytes == (16 + 64 + 64) * 16 * 16 * 4


def test_adding_skips_takes_no_buffer_of_its_own(model_of):
    shape = {
        "in_channels": 4,
        "classes": 2,
        "features": (8, 8),
        "strides": (1, 2),
        "convs_encoder": (1, 1),
        "convs_decoder": (1,),
        "norm": "batch",
    }
    added = cost(model_of(UNetConfig(skip="add", **shape)), height=32, width=32).peak_activation_bytes
    joined = cost(model_of(UNetConfig(skip="concat", **shape)), height=32, width=32).peak_activation_bytes
    # Added, the skip waits while a quarter of 8 channels is up-sampled; concatenated, both live beside their copy.
    assert added == (8 + 2 + 8) * 32 * 32 * 4
    assert joined == (8 + 8 + 16) * 32 * 32 * 4


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_as_it_was(model_of, training):
    model = model_of(plain_student(2, 3)).train(training)
    model.net.stages[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    cost(model, height=32, width=32)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(parameter.is_meta for parameter in model.parameters())


def test_a_size_the_network_cannot_take_is_refused(model_of):
    model = model_of(plain_student(2, 4))
    assert model.size_multiple == 8
    with pytest.raises(GridError, match="multiples of 8"):
        cost(model, height=20, width=32)


def test_only_trainable_parameters_count():
    layer = torch.nn.Linear(3, 2)
    assert count_parameters(layer) == 8
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


@pytest.mark.parametrize(
    "middle",
    [
        nn.ReLU(),
        nn.GELU(),
        nn.SiLU(),
        nn.Hardswish(),
        nn.Sigmoid(),
        nn.ELU(),
        nn.Hardtanh(),
        nn.GroupNorm(2, 8),
        nn.Tanh(),
    ],
)
def test_element_wise_layers_take_no_memory_of_their_own(middle):
    net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), middle, nn.Conv2d(8, 4, 3, padding=1))
    found = cost_of_network(net, in_channels=4, height=16, width=16)
    assert found.peak_activation_bytes == 4 * 16 * 16 * (4 + 8)
    weights = 4 * 8 * 9 + 8 + 8 * 4 * 9 + 4 + sum(tensor.numel() for tensor in middle.parameters())
    assert found.bytes_moved == 4 * (16 * 16 * (4 + 8 + 8 + 4) + weights)
