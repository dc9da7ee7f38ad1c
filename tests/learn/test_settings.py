"""Every setting that cannot be is refused."""

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.settings import FitSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1, got 0"),
        ({"batch_size": -1}, "'batch_size' must be at least 1"),
        ({"patch_size": (0, 8)}, "patch size must be positive"),
        ({"seed": -1}, "seed >= 0"),
        ({"learning_rate": 0.0}, "learning rate must be > 0"),
        ({"clip_norm": -1.0}, "clip norm >= 0"),
        ({"foreground_share": 1.5}, "'foreground_share' must lie in"),
        ({"average_decay": -0.1}, r"'average_decay' must lie in \[0, 1\], got"),
        ({"score_smoothing": 1.0}, r"'score_smoothing' must lie in \[0, 1\), got"),
        ({"validation_overlap": 1.0}, r"'validation_overlap' must lie in \[0, 1\), got"),
        ({"keep": "all"}, "best or last, got 'all'"),
        ({"optimiser": "adam"}, "unknown optimiser 'adam'"),
        ({"precision": "fp16"}, "precision 'fp16'"),
        ({"schedule": "step"}, "got 'step'"),
    ],
)
def test_refused_fit_settings(changes, message):
    with pytest.raises(SettingsError, match=message):
        FitSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": 1.1}, "'noise' is a probability"),
        ({"gamma_range": (1.5, 0.7)}, "'gamma_range' needs 0 <= low <= high"),
        ({"scaling_range": (0.0, 1.0)}, "'scaling_range' must be positive"),
    ],
)
def test_refused_augment_settings(changes, message):
    with pytest.raises(SettingsError, match=message):
        AugmentSettings(**changes)


def test_augmentation_can_be_left_out():
    assert AugmentSettings().without("brightness") == AugmentSettings(brightness=0.0)
    assert AugmentSettings.geometric().rotation == AugmentSettings().rotation
    assert AugmentSettings.geometric().gamma == 0
    assert AugmentSettings.none().mirror == 0
    with pytest.raises(SettingsError, match="no augmentation is called blurr"):
        AugmentSettings().without("blurr")


def test_validation_follows_every_nth_and_the_last_epoch():
    settings = FitSettings(epochs=7, validate_every=3)
    assert [epoch for epoch in range(7) if settings.validates(epoch)] == [2, 5, 6]
