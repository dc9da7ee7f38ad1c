from __future__ import annotations

import json
from dataclasses import replace

import pytest

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.students import plain_student


@pytest.fixture
def card(card_of):
    return card_of(plain_student(2, 3))


def test_json_round_trip(card, card_of):
    other = card_of(SmpUNetConfig(in_channels=3, classes=4), family="smp-unet-resnet34", normalisation="image")
    for each in (card, other):
        assert ModelCard.from_dict(json.loads(json.dumps(each.to_dict()))) == each


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"family": "dense"}, SettingsError, "unknown family 'dense'; known: unet"),
        ({"family": "smp-unet-resnet34"}, SettingsError, "cannot be built from a UNetConfig"),
        ({"normalisation": "batch"}, SettingsError, "expected 'dataset' or 'image'"),
        ({"bands": ("blue", "green", "red")}, BandError, "takes 4 channels"),
        ({"bands": ("nir", "green", "red", "blue")}, BandError, "agree in number and order"),
        ({"classes": ("clear",)}, SettingsError, "network of 2 classes"),
        ({"foreground": (2,)}, SettingsError, r"foreground \(2,\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(card, changes, error, message):
    with pytest.raises(error, match=message):
        replace(card, **changes)


def test_records_of_something_else_are_refused(card):
    record = card.to_dict()
    with pytest.raises(SettingsError, match="unknown family None"):
        ModelCard.from_dict({})
    with pytest.raises(SettingsError, match="not a model card"):
        ModelCard.from_dict({**record, "colour": "blue"})
    del record["classes"]
    with pytest.raises(SettingsError, match="not a model card"):
        ModelCard.from_dict(record)
