"""Components by hand, and a decision that only adopts what helps."""

import numpy as np
import pytest

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.learn.evaluate import Prediction
from satsqueeze.learn.postprocess import PostProcessing, decide, decide_on
from satsqueeze.learn.threshold import ThresholdModel

MASK = np.array(
    [
        [1, 1, 0, 0, 2],
        [1, 1, 0, 0, 2],
        [0, 0, 1, 0, 0],
        [2, 0, 0, 0, 1],
    ],
    np.uint8,
)


def prediction(truth, mask, name="a"):
    probabilities = np.stack([mask == k for k in range(3)]).astype(np.float32)
    return Prediction(id=name, source="s", groups=(), truth=truth, probabilities=probabilities, mask=mask)


def test_largest_foreground_merges_classes():
    cleaned = PostProcessing(largest_foreground=True).apply(MASK, (1, 2))
    assert cleaned.tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0] * 5, [0] * 5]


def test_largest_of_one_class():
    cleaned = PostProcessing(largest_of=(2,)).apply(MASK, (1, 2))
    assert cleaned[3, 0] == 0
    assert (cleaned == 1).sum() == (MASK == 1).sum()


def test_small_components_go_class_by_class():
    cleaned = PostProcessing(min_pixels=2).apply(MASK, (1, 2))
    assert np.flatnonzero(cleaned != MASK).tolist() == [12, 15, 19]
    assert (cleaned[cleaned != MASK] == 0).all()


def test_nothing_to_do():
    empty = np.zeros((4, 4), np.uint8)
    every = PostProcessing(largest_foreground=True, largest_of=(1, 2), min_pixels=9)
    assert np.array_equal(every.apply(empty, (1, 2)), empty)
    assert np.array_equal(PostProcessing().apply(MASK, (1, 2)), MASK)


def test_specks_that_are_wrong_are_removed():
    truth = np.zeros((32, 32), np.uint8)
    truth[4:12, 4:12], truth[20:28, 20:28] = 1, 1
    mask = truth.copy()
    mask[::16, 15] = 1
    decision = decide_on([prediction(truth, mask)], classes=3, foreground=(1, 2))
    assert decision.adopted == PostProcessing(min_pixels=4)
    assert decision.before == pytest.approx(128 / 130)
    assert decision.after == 1
    assert decision.to_dict()["adopted"]["min_pixels"] == 4


def test_what_does_not_help_is_not_adopted():
    truth = np.zeros((32, 32), np.uint8)
    truth[4:8, 4:8], truth[20:28, 20:28], truth[0, 30] = 1, 1, 1
    decision = decide_on([prediction(truth, truth.copy())], classes=3, foreground=(1, 2))
    assert decision.adopted is None
    assert decision.before == 1
    assert decision.after == 1
    assert decision.tried[0][1] == pytest.approx(64 / 81)
    assert decision.to_dict()["adopted"] is None
    assert len(decision.tried) == 6


def test_decide_predicts_by_the_scoring_path(cache):
    decision = decide(ThresholdModel(cache.bands, bright=0.25), cache, cache.ids)
    assert decision.before > 0.9
    assert (decision.adopted is not None) == (decision.after > decision.before)


def test_undecidable():
    clear = np.zeros((4, 4), np.uint8)
    with pytest.raises(SplitError, match="cannot be judged"):
        decide_on([prediction(clear, clear)], classes=3, foreground=(1,))
    with pytest.raises(SettingsError, match="needs a foreground class"):
        decide_on([prediction(clear, clear)], classes=3, foreground=())
