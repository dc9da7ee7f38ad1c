"""Classifiers as a family of model cards."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.receptive import receptive_field
from satsqueeze.nets.unet_config import UNetConfig

BANDS = ("red", "green", "blue")


@pytest.fixture
def card():
    return ModelCard(
        name="tiny",
        family="zoo",
        config=ClassifierConfig(model="resnet8", in_channels=3, classes=10),
        scaling=Scaling(bands=BANDS, mean=(0.1, 0.1, 0.1), std=(0.05, 0.05, 0.05)),
        bands=BANDS,
        classes=tuple(f"class {i}" for i in range(10)),
        foreground=(),
        task="classification",
    )


def test_logits_of_whole_images_after_a_round_trip(card, tmp_path):
    model = build_model(card, seed=1).eval()
    images = torch.rand(2, 3, 64, 64)
    logits = model(images)
    assert logits.shape == (2, 10)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.card == card
    assert torch.equal(again(images), logits)
    assert (model.window_invariant, model.size_multiple) == (False, 1)


def test_costs_are_those_of_the_paper(card):
    found = cost(build_model(card, seed=0), height=64, width=64)
    # Published: ResNet8 has 103,642 parameters and 58.4 M multiply-accumulates at 64 px.
    assert found.parameters == 103_642
    assert found.macs == pytest.approx(58.4e6, rel=2e-3)


def test_segmentation_cards_are_written_as_before(card):
    assert card.to_dict()["task"] == "classification"
    assert ModelCard.from_dict(card.to_dict()) == card
    config = UNetConfig(
        in_channels=3, classes=10, features=(4, 8), strides=(1, 2), convs_encoder=(1, 1), convs_decoder=(1,)
    )
    segmenter = replace(card, family="unet", config=config, task="segmentation")
    assert "task" not in segmenter.to_dict()
    assert ModelCard.from_dict(segmenter.to_dict()) == segmenter


def test_the_receptive_field_does_not_apply(card):
    with pytest.raises(SettingsError, match="decides on the whole image"):
        receptive_field(build_model(card, seed=0))


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_a_family_is_for_its_tasks(card, task):
    with pytest.raises(SettingsError, match="'zoo' is for classification or multi-label"):
        replace(card, task=task)


def test_other_band_counts_are_refused(card):
    with pytest.raises(BandError, match=r"\(N, 3, H, W\), got \(1, 4, 64, 64\)"):
        build_model(card, seed=0)(torch.rand(1, 4, 64, 64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ""}, "needs the name of a network"),
        ({"in_channels": 0}, "at least 1"),
        ({"size": 0}, "at least 1"),
        ({"dropout": 1.0}, r"in \[0, 1\), got 1.0"),
    ],
)
def test_refused_configs(changes, message):
    with pytest.raises(SettingsError, match=message):
        ClassifierConfig(**{"model": "resnet8", "in_channels": 3, "classes": 2} | changes)


def test_records_of_other_things_are_refused():
    config = ClassifierConfig(model="resnet8", in_channels=3, classes=2, dropout=0.5)
    assert ClassifierConfig.from_dict(config.to_dict()) == config
    with pytest.raises(SettingsError, match="not a classifier config"):
        ClassifierConfig.from_dict({"name": "resnet8"})
