"""The network of ten thousand parameters."""

import numpy as np
import pytest
import torch

from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo import build_classifier
from satsqueeze.nets.zoo.texture_net import SMALLEST_VARIANCE, TextureNet, statistics


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_it_has_at_most_ten_thousand_parameters_for_three_bands_and_ten_classes():
    network = build_classifier(ClassifierConfig(model="texture-10k", in_channels=3, classes=10))
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_882


def test_statistics_are_mean_and_standard_deviation():
    x = images(2, 5, 7, 6)
    found = statistics(x).numpy()
    flat = x.numpy().reshape(2, 5, -1)
    expected = np.concatenate([flat.mean(axis=2), np.sqrt(flat.var(axis=2) + SMALLEST_VARIANCE)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "turned", [lambda x: x.flip(-1), lambda x: x.rot90(1, (-2, -1)), lambda x: x.transpose(-2, -1)]
)
def test_flips_and_quarter_turns_change_no_logit(turned):
    network = TextureNet(3, 4, widths=(4, 8)).eval()
    x = images(2, 3, 16, 16)
    torch.testing.assert_close(network(turned(x)), network(x), atol=1e-6, rtol=1e-5)


def test_evaluation_is_the_mean_over_views():
    network = TextureNet(3, 4, widths=(4, 8)).eval()
    single = TextureNet(3, 4, widths=(4, 8), views=False).eval()
    single.load_state_dict(network.state_dict())
    x = images(2, 3, 16, 16)
    views = [
        y
        for turned in (x, x.transpose(-2, -1))
        for y in (turned, turned.flip(-1), turned.flip(-2), turned.flip((-2, -1)))
    ]
    torch.testing.assert_close(network(x), torch.stack([single(view) for view in views]).mean(dim=0))


def test_oblong_images_are_seen_in_four_views():
    network = TextureNet(3, 4, widths=(4, 8)).eval()
    x = images(1, 3, 8, 12)
    torch.testing.assert_close(network(x.flip(-2)), network(x), atol=1e-6, rtol=1e-5)
