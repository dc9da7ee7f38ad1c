"""Components by hand, and a decision that only adopts what helps."""

from copy import copy

import numpy as np
import pytest
from scipy import ndimage

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.postprocess_choice import decide
from satsqueeze.learn.scoring.evaluate import ScoreSettings, predictions
from satsqueeze.learn.scoring.postprocess import PostProcessing
from satsqueeze.learn.scoring.threshold import ThresholdModel

MASK = np.array(
    [
        [1, 1, 0, 0, 2],
        [1, 1, 0, 0, 2],
        [0, 0, 1, 0, 0],
        [2, 0, 0, 0, 1],
    ],
    np.uint8,
)


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


def test_in_words():
    steps = PostProcessing(largest_of=(2,)) + PostProcessing(min_pixels=4) + PostProcessing(min_pixels=16)
    assert steps == PostProcessing(largest_of=(2,), min_pixels=16)
    told = "only the largest component of shadow, no component below 16 pixels"
    assert steps.told(("clear", "cloud", "shadow")) == told
    assert PostProcessing().told(("clear", "cloud")) == ""


def labels_of(cache):
    return {name: cache.label(cache.position(name)).copy() for name in cache.ids}


def test_specks_that_are_wrong_are_removed(cache):
    specked = labels_of(cache)
    for mask in specked.values():
        row, col = np.argwhere(ndimage.maximum_filter(mask, 5) == 0)[0]
        mask[row, col] = 1
    decision = decide(specked, cache)
    assert decision.adopted == PostProcessing(min_pixels=4)
    area = sum(int((mask == 1).sum()) for mask in specked.values())
    assert decision.before == pytest.approx((area - len(specked)) / area)
    assert decision.after == 1
    assert decision.to_dict()["adopted"]["min_pixels"] == 4


def test_what_does_not_help_is_not_adopted(cache):
    decision = decide(labels_of(cache), cache)
    assert decision.adopted == PostProcessing()
    assert decision.before == decision.after == 1
    assert len(decision.tried) == 5
    assert min(score for _, score in decision.tried) < 1


def test_nothing_is_adopted_where_there_is_no_foreground(cache):
    kept = [name for name, mask in labels_of(cache).items() if not (mask == 1).any()]
    decision = decide(dict.fromkeys(kept, np.zeros((48, 48), np.uint8)), cache)
    assert np.isnan(decision.before)
    assert decision.adopted == PostProcessing()
    assert not decision.tried


def test_a_foreground_is_needed(cache):
    bare = copy(cache)
    bare.foreground = ()
    with pytest.raises(SettingsError, match="needs a foreground class"):
        decide({}, bare)


def test_scores_are_of_cleaned_masks(cache):
    model = ThresholdModel(cache.bands, bright=0.25)
    plain = {found.id: found for found in predictions(model, cache, cache.ids, ScoreSettings())}
    clean = PostProcessing(largest_foreground=True)
    found = list(predictions(model, cache, cache.ids, ScoreSettings(postprocess=clean)))
    assert any((one.mask != plain[one.id].mask).any() for one in found)
    for one in found:
        assert np.array_equal(one.mask, clean.apply(plain[one.id].mask, cache.foreground))
        assert np.array_equal(one.probabilities, plain[one.id].probabilities)
