"""The threshold on hand-made pixels."""

import pytest
import torch

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.learn.scoring.evaluate import ScoreSettings, score
from satsqueeze.learn.scoring.threshold import ThresholdModel


@pytest.mark.parametrize(
    ("green", "red", "cloud"),
    [
        (0.18, 0.17, True),  # dark limit passed and greener than red
        (0.18, 0.19, False),  # redder: bright soil
        (0.17, 0.10, False),  # too dark
        (0.40, 0.60, True),  # bright whatever its colour
        (0.39, 0.60, False),
        (0.0, 0.0, False),  # invalid
    ],
)
def test_rule(green, red, cloud):
    model = ThresholdModel(("red", "nir", "green"))
    logits = model(torch.tensor([red, 0.3, green]).reshape(1, 3, 1, 1))
    assert (logits.argmax(1) == 1).item() == cloud
    assert logits.softmax(1).max() > 0.99


def test_other_classes_are_never_predicted():
    model = ThresholdModel(("green", "red"), ("clear", "thick", "thin", "shadow"), (2, 1))
    assert set(model(torch.rand(1, 2, 32, 32)).argmax(1).unique().tolist()) == {0, 2}


def test_refused():
    with pytest.raises(BandError, match="green"):
        ThresholdModel(("blue", "red"))
    with pytest.raises(SettingsError, match="foreground"):
        ThresholdModel(("green", "red"), foreground=(2,))


def test_it_goes_through_the_same_scoring(cache):
    # Discs of reflectance 0.4 on ground of 0.1, with noise of 0.02.
    assert (
        score(ThresholdModel(cache.bands, bright=0.25), cache, cache.ids, settings=ScoreSettings(window=48)).jaccard
        > 0.9
    )
