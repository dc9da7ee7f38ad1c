"""Averages of models."""

from dataclasses import replace

import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.scoring.ensemble import Ensemble
from satsqueeze.learn.scoring.segmenter import bands_of, classes_of, foreground_of
from satsqueeze.learn.stage import load_folds
from satsqueeze.nets.model import build_model, save_model


@pytest.fixture
def members(model_card):
    return [build_model(model_card(), seed=seed).eval() for seed in range(3)]


def test_logits_and_probabilities(members):
    x = torch.rand(2, 4, 8, 8)
    outputs = torch.stack([member(x) for member in members])
    assert torch.allclose(Ensemble(members)(x), outputs.mean(0))
    averaged = Ensemble(members, average="probabilities")(x)
    assert torch.allclose(averaged.softmax(1), outputs.softmax(2).mean(0), atol=1e-6)


def test_one_member_is_itself(members):
    x = torch.rand(1, 4, 8, 8)
    assert torch.equal(Ensemble(members[:1])(x), members[0](x))


def test_it_says_what_its_members_say(members, model_card):
    card = model_card(features=(4, 8, 8), strides=(1, 2, 3), convs_encoder=(1, 1, 1), convs_decoder=(1, 1))
    ensemble = Ensemble([*members, build_model(card, seed=0)])
    assert ensemble.size_multiple == 6
    assert bands_of(ensemble) == ("blue", "green", "red", "nir")
    assert classes_of(ensemble) == ("clear", "cloud")
    assert foreground_of(ensemble) == (1,)


def test_refused(members, model_card):
    with pytest.raises(SettingsError, match="got 0"):
        Ensemble([])
    with pytest.raises(SettingsError, match="'median'"):
        Ensemble(members, average="median")
    with pytest.raises(SettingsError, match="agree in their bands"):
        Ensemble([*members, build_model(model_card(bands=("nir", "red", "green", "blue")), seed=0)])
    with pytest.raises(SettingsError, match="agree in their classes"):
        Ensemble([*members, build_model(replace(model_card(), classes=("land", "water")), seed=0)])


def test_folds_are_read_in_the_order_of_their_numbers(model_card, tmp_path):
    # Each is scored on the images of its own fold: in another order, on those that it has learnt from.
    for number in range(11):
        named = replace(model_card(), name=f"net-{number}")
        save_model(build_model(named, seed=0), tmp_path / f"fold_{number}")
    assert [model.card.name for model in load_folds(tmp_path)] == [f"net-{number}" for number in range(11)]
