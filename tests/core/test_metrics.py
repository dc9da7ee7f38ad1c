"""Metrics against scikit-learn and torchmetrics, and against closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import LabelError, SettingsError
from satsqueeze.core.metrics import CalibrationError, SegmentationMetrics, binary_scores, class_jaccards, confusion

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def random_pair(seed: int, classes: int = 4, shape: tuple[int, int] = (17, 23)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape).astype(np.uint8)
    predicted = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, classes, shape)).astype(np.uint8)
    truth[rng.random(shape) < 0.1] = 255
    return truth, predicted


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_confusion_is_that_of_scikit_learn(seed, classes):
    truth, predicted = random_pair(seed, classes)
    counted = truth != 255
    expected = sklearn_metrics.confusion_matrix(truth[counted], predicted[counted], labels=range(classes))
    np.testing.assert_array_equal(confusion(truth, predicted, classes), expected)


@pytest.mark.parametrize("foreground", [(1,), (1, 2), (0, 3)])
def test_binary_scores_are_those_of_scikit_learn(foreground):
    truth, predicted = random_pair(3)
    counted = truth != 255
    a, b = np.isin(truth[counted], foreground), np.isin(predicted[counted], foreground)
    scores = binary_scores(confusion(truth, predicted, 4), foreground)
    expected = {
        "jaccard": sklearn_metrics.jaccard_score(a, b),
        "precision": sklearn_metrics.precision_score(a, b),
        "recall": sklearn_metrics.recall_score(a, b),
        "specificity": sklearn_metrics.recall_score(~a, ~b),
        "f1": sklearn_metrics.f1_score(a, b),
        "accuracy": sklearn_metrics.accuracy_score(a, b),
        "pixels": counted.sum(),
    }
    assert vars(scores) == pytest.approx(expected, abs=1e-12)


def test_class_jaccards_are_those_of_scikit_learn():
    truth, predicted = random_pair(5)
    counted = truth != 255
    expected = sklearn_metrics.jaccard_score(truth[counted], predicted[counted], average=None)
    np.testing.assert_allclose(class_jaccards(confusion(truth, predicted, 4)), expected)


def test_a_class_nobody_saw_has_no_jaccard():
    matrix = confusion(np.uint8([[0, 1]]), np.uint8([[0, 1]]), 3)
    np.testing.assert_array_equal(class_jaccards(matrix), [1, 1, np.nan])


def test_closed_forms():
    perfect = binary_scores(np.array([[5, 0], [0, 3]]), [1])
    assert (perfect.jaccard, perfect.f1, perfect.accuracy, perfect.specificity) == (1, 1, 1, 1)
    inverse = binary_scores(np.array([[0, 5], [3, 0]]), [1])
    assert (inverse.jaccard, inverse.f1, inverse.accuracy) == (0, 0, 0)
    empty = binary_scores(np.array([[7, 0], [0, 0]]), [1])
    assert np.isnan([empty.jaccard, empty.precision, empty.recall, empty.f1]).all()
    assert (empty.accuracy, empty.pixels) == (1, 7)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(lambda counts: sum(counts[1:]) > 0))
def test_f1_and_jaccard_are_two_forms_of_one_number(counts):
    scores = binary_scores(np.array(counts).reshape(2, 2), [1])
    assert scores.f1 == pytest.approx(2 * scores.jaccard / (1 + scores.jaccard))


def test_predicted_nodata_counts_as_class_0():
    truth = np.uint8([[1, 0, 255]])
    np.testing.assert_array_equal(confusion(truth, np.uint8([[255, 255, 255]]), 2), [[1, 0], [1, 0]])


def test_only_ignored_pixels_count_nothing():
    metrics = SegmentationMetrics(2, (1,))
    metrics.update(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8), image="a")
    assert metrics.overall().pixels == 0
    record = metrics.to_dict()
    assert record["jaccard"] is None
    assert record["jaccard_per_image_mean"] is None
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(("truth", "predicted"), [([[4]], [[0]]), ([[0]], [[7]])])
def test_values_outside_the_classes_are_refused(truth, predicted):
    with pytest.raises(LabelError, match="below 4 or 255"):
        confusion(np.uint8(truth), np.uint8(predicted), 4)


def test_an_ignored_pixel_may_be_predicted_as_anything():
    assert confusion(np.uint8([[255]]), np.uint8([[9]]), 4).sum() == 0


def test_unequal_shapes_are_refused():
    with pytest.raises(LabelError, match=r"\(2, 2\) and \(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)


@pytest.mark.parametrize(("classes", "foreground"), [(1, ()), (2, (2,)), (3, (-1,))])
def test_impossible_foregrounds_are_refused(classes, foreground):
    with pytest.raises(SettingsError, match="at least 2 classes"):
        SegmentationMetrics(classes, foreground)


def test_global_jaccard_pools_pixels_and_the_mean_does_not():
    metrics = SegmentationMetrics(2, (1,))
    metrics.update(np.ones((1, 1), np.uint8), np.ones((1, 1), np.uint8), image="small")
    metrics.update(np.ones((1, 9), np.uint8), np.zeros((1, 9), np.uint8), image="large")
    assert metrics.overall().jaccard == pytest.approx(0.1)
    assert metrics.to_dict()["jaccard_per_image_mean"] == pytest.approx(0.5)


def test_streaming_parts_equals_one_pass_and_groups_add_up():
    metrics, whole = SegmentationMetrics(4, (1, 2)), SegmentationMetrics(4, (1, 2))
    for index, name in enumerate("abc"):
        truth, predicted = random_pair(index)
        group = "scene 1" if name != "c" else "scene 2"
        whole.update(truth, predicted, image=name, group=group)
        metrics.update(truth[:9], predicted[:9], image=name, group=group)
        metrics.update(truth[9:], predicted[9:], image=name, group=group)
    assert metrics.to_dict() == whole.to_dict()
    groups = metrics.per_group()
    assert list(groups) == ["scene 1", "scene 2"]
    assert sum(scores.pixels for scores in groups.values()) == metrics.overall().pixels
    assert groups["scene 2"] == metrics.per_image()["c"]
    assert metrics.to_dict()["images"] == 3


def test_without_foreground_scores_are_means_over_classes():
    truth, predicted = random_pair(0)
    metrics = SegmentationMetrics(5, ())
    metrics.update(truth, predicted, image="a")
    counted = truth != 255
    kinds = {"labels": range(4), "average": "macro", "zero_division": np.nan}
    pair = truth[counted], np.where(predicted == 255, 0, predicted)[counted]
    found = metrics.overall()
    # The fifth class is nowhere, so it has no part in any mean.
    assert found.jaccard == pytest.approx(sklearn_metrics.jaccard_score(*pair, labels=range(4), average="macro"))
    assert found.jaccard == np.nanmean(class_jaccards(metrics.matrix))
    assert found.precision == pytest.approx(sklearn_metrics.precision_score(*pair, **kinds))
    assert found.recall == pytest.approx(sklearn_metrics.recall_score(*pair, **kinds))
    assert found.f1 == pytest.approx(sklearn_metrics.f1_score(*pair, **kinds))
    assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(*pair))
    assert found.pixels == counted.sum()


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_is_that_of_torchmetrics(bins):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 1.5, (4, 31, 29))
    probabilities = (np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32)
    truth = np.where(rng.random((31, 29)) < 0.5, logits.argmax(0), rng.integers(0, 4, (31, 29))).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    mine = CalibrationError(bins)
    mine.update(truth[:10], probabilities[:, :10])
    mine.update(truth[10:], probabilities[:, 10:])
    theirs = functional.multiclass_calibration_error(
        torch.from_numpy(probabilities.reshape(4, -1).T),
        torch.from_numpy(truth.ravel().astype(np.int64)),
        num_classes=4,
        n_bins=bins,
        ignore_index=255,
    )
    assert mine.value() == pytest.approx(float(theirs), abs=1e-5)


def test_calibration_closed_forms():
    sure = np.float32([1.0, 0.0])[:, None, None].repeat(10, axis=2)
    right, wrong, half = CalibrationError(), CalibrationError(), CalibrationError()
    right.update(np.zeros((1, 10), np.uint8), sure)
    wrong.update(np.ones((1, 10), np.uint8), sure)
    half.update(np.uint8([[0, 1] * 5]), np.full((2, 1, 10), 0.5, np.float32))
    assert (right.value(), wrong.value(), half.value()) == (0, 1, 0)
    assert np.isnan(CalibrationError().value())


def test_calibration_skips_what_is_not_a_probability():
    probabilities = np.float32([[[1.0, np.nan]], [[0.0, np.nan]]])
    error = CalibrationError()
    error.update(np.uint8([[0, 1]]), probabilities)
    assert error.value() == 0


def test_calibration_refuses_wrong_shapes_and_no_bins():
    with pytest.raises(SettingsError, match="at least one bin"):
        CalibrationError(0)
    with pytest.raises(LabelError, match=r"\(K, H, W\)"):
        CalibrationError().update(np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32))
