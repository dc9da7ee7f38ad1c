"""Teachers put right by exact labels."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.distill.corrected import Corrected
from satsqueeze.distill.soft import teach


class Says:
    """The same probability of cloud everywhere."""

    name = fingerprint = "says"
    classes = ("clear", "cloud")
    bands = ("blue", "green", "red", "nir")

    def __init__(self, cloud):
        self.cloud = cloud

    def probabilities(self, reflectance):
        cloud = np.full(reflectance.shape[1:], self.cloud, np.float32)
        return np.stack([1 - cloud, cloud])


def windows(cache):
    for position, entry in enumerate(cache.entries):
        if entry.labelled:
            yield position, entry.id, Window(row=3, col=2, height=entry.height - 5, width=entry.width - 3)


def test_a_false_alarm_becomes_the_label_and_nothing_else_changes(cache, tmp_path):
    answers = teach([Says(0.9)], cache, cache.ids, tmp_path)
    corrected = Corrected(answers, cache, {entry.source for entry in cache.entries})
    seen = set()
    for position, item, window in windows(cache):
        label, told = cache.label(position, window), answers.window(item, window)
        found = corrected.window(item, window)
        assert (found[:, label == 0].T == [255, 0]).all()
        np.testing.assert_array_equal(found[:, label != 0], told[:, label != 0])
        seen |= set(np.unique(label))
    assert {0, 1, IGNORE} <= seen


@pytest.mark.parametrize(("cloud", "exact"), [(0.9, False), (0.2, True)])
def test_other_sources_and_quiet_teachers_are_left_alone(cache, tmp_path, cloud, exact):
    answers = teach([Says(cloud)], cache, cache.ids, tmp_path)
    corrected = Corrected(answers, cache, {entry.source for entry in cache.entries} if exact else ())
    for _, item, window in windows(cache):
        np.testing.assert_array_equal(corrected.window(item, window), answers.window(item, window))
