"""Rules of compound scaling in steps of any cost, and networks scaled by any rule."""

from __future__ import annotations

import pytest
import torch

from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.zoo import build_classifier
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.scaling_config import SCALED_FAMILY, ScaledConfig, build_scaled

RULE = CompoundScaling(depth=1.3, width=1.1, resolution=1.2)


def test_steps_of_another_cost_lead_to_the_same_networks():
    half = RULE.at_cost(RULE.cost**0.5)
    assert half.cost == pytest.approx(RULE.cost**0.5)
    assert (half.depth**2, half.width**2, half.resolution**2) == pytest.approx((1.3, 1.1, 1.2))
    for phi in range(1, 4):
        ours = (half.blocks(2 * phi), half.widths(2 * phi), half.side(64, 2 * phi))
        assert ours == (RULE.blocks(phi), RULE.widths(phi), RULE.side(64, phi))
    assert SCALING.at_cost(SCALING.cost).depth == pytest.approx(SCALING.depth)


@pytest.mark.parametrize(
    ("rule", "cost"), [(RULE, 0.9), (RULE, float("nan")), (CompoundScaling(depth=1, width=1, resolution=1), 2)]
)
def test_steps_that_lead_nowhere_are_refused(rule, cost):
    with pytest.raises(SettingsError, match="at least 1 and a rule that costs more than nothing"):
        rule.at_cost(cost)


@pytest.mark.parametrize("phi", [0, 1, 3])
def test_the_shipped_rule_gives_the_shipped_networks(phi):
    config = ScaledConfig(in_channels=4, classes=5, size=32, scaling=SCALING, phi=phi)
    named = ClassifierConfig(model=f"wrn-eca-b{phi}", in_channels=4, classes=5, size=32)
    found, wanted = (
        {name: tuple(value.shape) for name, value in build(one).state_dict().items()}
        for build, one in ((build_scaled, config), (build_classifier, named))
    )
    assert found == wanted


def test_a_scaled_network_is_saved_and_read_back(tmp_path):
    bands = ("red", "nir")
    card = ModelCard(
        name="scaled",
        family=SCALED_FAMILY,
        config=ScaledConfig(in_channels=2, classes=3, size=16, scaling=RULE),
        scaling=Scaling(bands=bands, mean=(0.1, 0.2), std=(0.1, 0.1)),
        bands=bands,
        classes=("a", "b", "c"),
        foreground=(),
        task="classification",
    )
    model = build_model(card, seed=0).eval()
    save_model(model, tmp_path)
    again, images = load_model(tmp_path), torch.rand(2, 2, 16, 16)
    assert again.card == card
    assert torch.equal(again(images), model(images))
    # The side is that of the rule: 16 * 1.2, to the next multiple of 4.
    assert model.net.body[0].side == 20


def test_wrong_configs_are_refused():
    record = ScaledConfig(in_channels=2, classes=3, scaling=RULE).to_dict()
    for changes in ({"scaling": {"depth": 1.2}}, {"scaling": 3}, {"unknown": 1}):
        with pytest.raises(SettingsError, match="not a config of a scaled network"):
            ScaledConfig.from_dict({**record, **changes})
    with pytest.raises(SettingsError, match="phi must be finite and >= 0, got -20"):
        ScaledConfig(in_channels=2, classes=3, scaling=RULE, phi=-20)
    with pytest.raises(GridError, match="at least 8 x 8 px; got 4 x 4"):
        build_scaled(ScaledConfig(in_channels=2, classes=3, size=4, scaling=RULE))
