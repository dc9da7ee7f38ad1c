"""Scores against scikit-learn, and who may be scored on what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import nn

from satsqueeze.core.errors import BandError, SettingsError, SplitError
from satsqueeze.learn.scoring.evaluate import ScoreSettings, predictions, score
from satsqueeze.learn.scoring.sliding import mask_of, predict_logits
from satsqueeze.nets.model import build_model


class Oracle(nn.Module):
    """Knows that discs are bright."""

    size_multiple = 1

    def __init__(self, classes=None, foreground=None, bands=None):
        super().__init__()
        self.classes, self.foreground, self.bands = classes, foreground, bands

    def forward(self, x):
        cloud = (x[:, :1] - 0.25) * 100
        return torch.cat([-cloud, cloud], dim=1)


def test_score_is_scikit_learns(model, cache):
    evaluation = score(model, cache, cache.ids, settings=ScoreSettings(window=48))
    truth = np.concatenate([cache.label(i).ravel() for i in range(len(cache))])
    predicted = [mask_of(predict_logits(model, cache.image(i), window=48)) for i in range(len(cache))]
    expected = jaccard_score(truth, np.concatenate([mask.ravel() for mask in predicted]))
    assert evaluation.jaccard == pytest.approx(expected)
    assert evaluation.overall().pixels == truth.size


def test_record_holds_groups_sources_and_calibration(cache):
    record = score(Oracle(), cache, cache.ids, settings=ScoreSettings(window=32, mirror=True)).to_dict()
    assert record["jaccard"] > 0.95
    assert record["images"] == 8
    assert set(record["sources"]) == {entry.source for entry in cache.entries}
    assert record["sources"][cache.entries[0].source]["jaccard"] == record["jaccard"]
    assert set(record["groups"]) == {group for entry in cache.entries for group in entry.groups}
    assert 0 <= record["calibration_error"] < 0.05


def test_other_classes_are_scored_on_foreground_alone(cache):
    class Four(Oracle):
        def forward(self, x):
            two = super().forward(x)
            return torch.cat([two[:, :1], two[:, 1:] - 1, two[:, 1:], two[:, :1] - 1], dim=1)

    names = ("clear", "thick", "thin", "shadow")
    evaluation = score(Four(names, (1, 2)), cache, cache.ids, settings=ScoreSettings(window=48))
    assert evaluation.jaccard == score(Oracle(), cache, cache.ids, settings=ScoreSettings(window=48)).jaccard
    assert evaluation.metrics.classes == 2
    with pytest.raises(SettingsError, match="which are its foreground"):
        score(Four(names), cache, cache.ids)


def test_bands_go_by_name(model_card, cache):
    class Second(Oracle):
        def forward(self, x):
            assert x.shape[1] == 2
            return super().forward(x[:, 1:])

    bands = Second(bands=("nir", "blue"))
    assert score(bands, cache, cache.ids).jaccard == score(Oracle(), cache, cache.ids).jaccard
    with pytest.raises(BandError, match="swir16"):
        score(build_model(model_card(bands=("swir16",)), seed=0), cache, cache.ids)


def test_images_without_labels_are_passed_over(cache, monkeypatch):
    unlabelled = np.full((48, 48), 255, np.uint8)
    label = cache.label
    monkeypatch.setattr(cache, "label", lambda i, window=None: unlabelled if i < 6 else label(i, window))
    assert [p.id for p in predictions(Oracle(), cache, cache.ids, ScoreSettings())] == list(cache.ids[6:])
    with pytest.raises(SplitError, match="none of the 2 images"):
        score(Oracle(), cache, cache.ids[:2])


def test_model_card_classes_count(model_card, cache):
    foreign = build_model(replace(model_card(), classes=("clear", "haze")), seed=0)
    assert score(foreign, cache, cache.ids).metrics.foreground == (1,)
