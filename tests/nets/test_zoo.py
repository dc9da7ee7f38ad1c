"""The table of classifiers: names, sizes, and the parameter counts that are known."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.zoo import ZOO, ZooCard, build_classifier, zoo_card
from satsqueeze.nets.zoo.builders import BUILDERS
from satsqueeze.nets.zoo.net import PadTo, ResizeTo
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.small_resnet import PoolToCells
from satsqueeze.nets.zoo.summary import summarise

ATTENTIONS = ("eca", "se", "cbam", "coord")
REQUIRED = {
    *("resnet8", "resnet16", "densenet121", "densenet169", "densenet201", "resnet50", "resnet101", "resnet152"),
    *("vgg16", "vgg19", "vit6", "vit12", "vit20", "vit30", "vit40", "vitm20", "mlp-mixer", "mixer-tiny"),
    *("wrn", "wrn-ghost", "efficientnet-b0-ghost"),
    *(
        f"{base}-{kind}{ghost}"
        for base in ("wrn", "efficientnet-b0")
        for kind in ATTENTIONS
        for ghost in ("", "-ghost")
    ),
    *(f"efficientnet-b{step}" for step in range(8)),
    *(f"efficientnet-b{step}-eca" for step in range(8)),
    *(f"wrn-eca-b{step}" for step in range(8)),
    *("mobilevitv2-050", "mobilevitv2-075", "mobilevitv2-100", *(f"efficientvit-m{size}" for size in range(6))),
    *("mobilenetv3-small", "ghostnet", "edgenext-xx-small", "fastvit-t8"),
}


def summary(model, *, in_channels=3, classes=10, size=64):
    return summarise(ClassifierConfig(model=model, in_channels=in_channels, classes=classes, size=size))


def test_the_table_holds_what_the_benchmark_has_and_more():
    assert set(ZOO) >= REQUIRED
    assert len(ZOO) >= 60
    assert all(name == card.name and card.builder in BUILDERS for name, card in ZOO.items())
    recipes = [(card.builder, sorted(card.parameters.items())) for card in ZOO.values()]
    assert len(set(map(str, recipes))) == len(ZOO)


@pytest.mark.parametrize(
    ("model", "bands", "classes", "size", "parameters"),
    [
        # arXiv 2411.00209, students and teachers on EuroSAT.
        ("resnet8", 3, 10, 64, 103_642),
        ("resnet16", 3, 10, 64, 200_858),
        ("efficientvit-m2", 3, 10, 224, 3_964_804),
        ("mobilevitv2-100", 3, 10, 256, 4_393_971),
        # arXiv 2111.09451, BigEarthNet: the base of the scaled networks, and the one configuration that was released.
        ("wrn-eca", 10, 19, 60, 305_889),
        ("wrn-eca-b0", 10, 19, 60, 305_889),
        ("wrn-eca-released", 10, 19, 90, 984_313),
        # torchvision's ResNet50 has 25,557,032 with 1000 classes, 2049 per class.
        ("resnet50", 3, 10, 64, 25_557_032 - 990 * 2049),
    ],
)
def test_known_parameter_counts(model, bands, classes, size, parameters):
    assert summary(model, in_channels=bands, classes=classes, size=size).parameters == parameters


@pytest.mark.parametrize(
    ("model", "size", "megamacs"),
    [
        # arXiv 2411.00209 and 2111.09451.
        ("resnet8", 64, 58.4),
        ("resnet16", 64, 115),
        ("resnet8", 224, 715),
        ("wrn-eca-released", 90, 1090),
        ("efficientvit-m2", 224, 203.5),
        ("mobilevitv2-100", 256, 1843.3),
    ],
)
def test_known_costs(model, size, megamacs):
    bands = 10 if model.startswith("wrn") else 3
    assert summary(model, in_channels=bands, size=size).macs / 1e6 == pytest.approx(megamacs, rel=0.02)


def test_costs_of_a_transformer_are_those_counted_by_hand():
    # 64 px are reflected to 6 x 6 patches of 12 px: embedding, then per layer queries, keys and values, the two
    # products of attention, projection and a hidden layer of twice the width; then the decision.
    tokens, width = 36, 64
    layer = tokens * width * (3 * width + width + 2 * 2 * width) + 2 * tokens * tokens * width
    assert summary("vit12").macs == tokens * width * 3 * 12**2 + 8 * layer + width * 10


def test_costs_of_a_mixer_are_those_counted_by_hand():
    patches, width, hidden, channels = 36, 128, 64, 200
    block = 2 * width * patches * hidden + 2 * patches * width * channels
    assert summary("mlp-mixer").macs == patches * width * 3 * 12**2 + 4 * block + width * 10


def test_costs_are_counted_for_channel_attention():
    plain, eca = summary("wrn"), summary("wrn-eca")
    # One kernel of 3, 3 or 5 channels with a bias per group, slid over its channels.
    assert eca.parameters - plain.parameters == 3 + 3 + 5 + 3
    assert eca.macs - plain.macs == 3 * 32 + 3 * 64 + 5 * 128


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrn-eca-b9", r"did you mean wrn-eca-b\d or .*list` shows all"),
        ("ResNet8", "did you mean resnet8"),
        ("xqzj", "`satsqueeze zoo list` shows all"),
    ],
)
def test_unknown_names_list_the_closest(name, message):
    with pytest.raises(SettingsError, match=f"unknown network '{name}'; {message}"):
        zoo_card(name)
    with pytest.raises(SettingsError, match=message):
        build_classifier(ClassifierConfig(model=name, in_channels=3, classes=2))


def test_sizes_in_words():
    card = ZooCard(name="net", family="f", builder="b", smallest=8, multiple=4, fixed=True)
    assert card.sizes() == "square images that are multiples of 4 px of at least 8 x 8 px"
    for height, width in ((4, 4), (8, 10), (10, 8), (8, 12)):
        with pytest.raises(GridError, match=rf"net takes square images .* got {height} x {width}"):
            card.check_size(height, width)
    card.check_size(12, 12)


def test_images_of_another_size_or_other_bands_are_refused():
    net = build_classifier(ClassifierConfig(model="mixer-tiny", in_channels=2, classes=2, size=16))
    with pytest.raises(GridError, match=r"was built for 16 x 16 px, got 20 x 20; .*square images of at least 8 x 8"):
        net(torch.rand(1, 2, 20, 20))
    with pytest.raises(GridError, match="got 16 x 20"):
        net(torch.rand(1, 2, 16, 20))
    with pytest.raises(BandError, match=r"\(N, 2, H, W\)"):
        net(torch.rand(1, 3, 16, 16))


@pytest.mark.parametrize("side", [*range(1, 24), 56])
def test_pooling_to_cells_is_adaptive_pooling(side):
    x = torch.rand(2, 3, side, side + 1)
    assert torch.allclose(PoolToCells(3)(x), nn.AdaptiveAvgPool2d(3)(x), atol=1e-6)


def test_images_are_reflected_around_their_middle():
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert PadTo(3)(x) is x
    # Odd numbers of pixels leave one more at the end.
    assert PadTo(6)(x)[0, 0, 1].tolist() == [1, 0, 1, 2, 1, 0]
    assert PadTo(6)(x)[0, 0, :, 1].tolist() == [3, 0, 3, 6, 3, 0]


def test_images_are_resampled_bilinearly():
    x = torch.rand(1, 2, 8, 8)
    assert ResizeTo(8)(x) is x
    assert torch.allclose(ResizeTo(4)(x), F.avg_pool2d(x, 2), atol=1e-6)
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    assert torch.allclose(ResizeTo(4)(ramp)[..., 0, :].diff(), torch.tensor(2 / 7), atol=1e-6)


class TestCompoundScaling:
    RULE = CompoundScaling(depth=1.12, width=1.12, resolution=1.035)

    @pytest.mark.parametrize("rule", [SCALING, RULE])
    @pytest.mark.parametrize("size", [9, 25, 64, 101])
    def test_every_measure_and_the_cost_grow_with_phi(self, rule, size):
        for finer in (1.0, 0.1):
            steps = [finer * step for step in range(int(7 / finer) + 1)]
            shapes = [(*rule.blocks(phi), *rule.widths(phi), rule.side(size, phi)) for phi in steps]
            assert all(a <= b for smaller, larger in pairwise(shapes) for a, b in zip(smaller, larger, strict=True))
            assert shapes[0][-1] == size

    def test_blocks_are_added_one_by_one(self):
        totals = [sum(self.RULE.blocks(phi / 20)) for phi in range(200)]
        assert totals[0] == 3
        assert set(totals) == set(range(3, max(totals) + 1))
        assert all(max(self.RULE.blocks(phi)) - min(self.RULE.blocks(phi)) <= 1 for phi in range(8))

    def test_the_series_grows_strictly_by_about_the_stated_factor(self):
        macs = [summary(f"wrn-eca-b{phi}").macs for phi in range(8)]
        assert all(smaller < larger for smaller, larger in pairwise(macs))
        assert SCALING.cost == pytest.approx(1.5, abs=0.01)
        assert (macs[7] / macs[0]) ** (1 / 7) == pytest.approx(SCALING.cost, rel=0.05)

    def test_the_base_is_the_benchmarks(self):
        assert (SCALING.blocks(0), SCALING.widths(0), SCALING.side(61, 0)) == ((1, 1, 1), (32, 64, 128), 61)

    @pytest.mark.parametrize("factor", ["depth", "width", "resolution"])
    def test_shrinking_factors_are_refused(self, factor):
        with pytest.raises(SettingsError, match="at least 1"):
            CompoundScaling(**{"depth": 1.2, "width": 1.1, "resolution": 1.1} | {factor: 0.9})
