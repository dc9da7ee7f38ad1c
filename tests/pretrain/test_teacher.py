"""What the pre-training of a planned teacher is told."""

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import CLOUD_CLASSES
from satsqueeze.pretrain.teacher import TeacherPretraining


@pytest.mark.parametrize(("multiple", "size"), [(1, 64), (2, 64), (16, 64), (24, 72), (32, 64), (64, 128), (128, 256)])
def test_views_are_what_the_network_takes_and_hold_two_deepest_pixels(multiple, size):
    told = TeacherPretraining(epochs=2).told(classes=(), multiple=multiple, seed=0)
    assert told.views.size == size
    assert size % multiple == 0
    assert size // multiple >= 2


def test_what_is_asked_for_is_told():
    asked = TeacherPretraining(epochs=2, steps_per_epoch=3, batch_size=4, learning_rate=0.01, place=r"(p\d)")
    told = asked.told(classes=("water",), multiple=8, seed=5)
    assert (told.steps, told.batch_size, told.learning_rate, told.seed) == (6, 4, 0.01, 5)
    assert told.views.place == r"(p\d)"
    assert "thick cloud" in told.views.avoid
    assert min(told.views.haze, told.views.clouds) > 0


def test_who_is_to_find_clouds_must_not_become_blind_to_them():
    views = TeacherPretraining(epochs=1).told(classes=CLOUD_CLASSES[1:3], multiple=8, seed=0).views
    assert (views.avoid, views.haze, views.clouds) == ((), 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": -1}, r"0 epochs \(none\) or more, got -1"),
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"place": "("}, "no regular expression"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        TeacherPretraining(**changes)
