"""Metrics of whole images against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from satsqueeze.core.class_metrics import ClassMetrics, average_precision, one_hot
from satsqueeze.core.class_thresholds import best_thresholds
from satsqueeze.core.errors import LabelError, SettingsError

NAMES = ("field", "forest", "water", "city")


def single(seed=0, count=200):
    generator = np.random.default_rng(seed)
    labels = generator.integers(4, size=count)
    logits = generator.normal(size=(count, 4)) + 1.5 * one_hot(labels, 4)
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def several(seed=0, count=200):
    generator = np.random.default_rng(seed)
    truth = generator.random((count, 4)) < (0.2, 0.5, 0.05, 0.7)
    noise = generator.normal(size=truth.shape)
    return truth, (1 / (1 + np.exp(-2 * (truth - 0.5) - noise))).astype(np.float32)


def assert_like_sklearn(found: ClassMetrics, truth, predicted):
    labels = np.arange(4)
    for average, scores in (("macro", found.macro()), ("weighted", found.weighted()), ("micro", found.micro())):
        given = {"average": average, "labels": labels, "zero_division": 0}
        assert scores.precision == pytest.approx(oracle.precision_score(truth, predicted, **given))
        assert scores.recall == pytest.approx(oracle.recall_score(truth, predicted, **given))
        assert scores.f1 == pytest.approx(oracle.f1_score(truth, predicted, **given))
        assert scores.f2 == pytest.approx(oracle.fbeta_score(truth, predicted, beta=2, **given))
    rows = found.per_class()
    for name, score in (("precision", oracle.precision_score), ("recall", oracle.recall_score)):
        expected = score(truth, predicted, average=None, labels=labels, zero_division=0)
        np.testing.assert_allclose([getattr(row, name) for row in rows], expected)


def test_one_class_each_as_sklearn():
    labels, probabilities = single()
    found = ClassMetrics(NAMES)
    for part in (slice(0, 70), slice(70, 200)):
        found.update(one_hot(labels[part], 4), probabilities[part])
    predicted = probabilities.argmax(axis=1)
    assert_like_sklearn(found, labels, predicted)
    assert found.images == 200
    assert found.accuracy == pytest.approx(oracle.accuracy_score(labels, predicted))
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(labels, predicted))
    expected = [oracle.average_precision_score(labels == k, probabilities[:, k]) for k in range(4)]
    np.testing.assert_allclose(found.average_precisions(), expected)


def test_several_classes_as_sklearn():
    truth, probabilities = several()
    found = ClassMetrics(NAMES, multi_label=True)
    found.update(truth, probabilities)
    assert_like_sklearn(found, truth, probabilities >= 0.5)
    assert found.accuracy == pytest.approx(oracle.accuracy_score(truth, probabilities >= 0.5))
    expected = oracle.average_precision_score(truth, probabilities, average="macro")
    assert found.to_dict()["mean_average_precision"] == pytest.approx(expected)
    decided = ClassMetrics(NAMES, multi_label=True)
    decided.update(truth, probabilities, predicted=probabilities >= 0.3)
    assert_like_sklearn(decided, truth, probabilities >= 0.3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_average_precision_with_ties_is_sklearns(pairs):
    truth = np.array([pair[0] for pair in pairs])
    scores = np.array([pair[1] / 5 for pair in pairs])
    if truth.any():
        assert average_precision(truth, scores) == pytest.approx(oracle.average_precision_score(truth, scores))
    else:
        assert np.isnan(average_precision(truth, scores))


def test_calibration_error_in_closed_form():
    # All say 0.75 and 3 in 5 are right: the error is 0.15. Two labels say 0.9 and 0.8, one is right each.
    found = ClassMetrics(("a", "b"))
    found.update(one_hot(np.array([0, 0, 0, 1, 1]), 2), np.tile([0.75, 0.25], (5, 1)))
    assert found.calibration_error() == pytest.approx(0.15)
    presence = ClassMetrics(("a", "b"), multi_label=True)
    presence.update(np.array([[1, 1], [1, 0]]), np.array([[0.9, 0.8], [0.9, 0.8]]))
    assert presence.calibration_error() == pytest.approx((0.1 + 0.3) / 2)


def test_absent_classes_count_nowhere():
    labels, probabilities = single()
    kept = labels < 3
    found = ClassMetrics(NAMES)
    probabilities[:, 3] = 0
    found.update(one_hot(labels[kept], 4), probabilities[kept])
    predicted = probabilities[kept].argmax(axis=1)
    expected = oracle.f1_score(labels[kept], predicted, average="macro")
    assert found.macro().f1 == pytest.approx(expected)
    record = found.to_dict()
    assert record["per_class"]["city"] == {
        "precision": None,
        "recall": None,
        "f1": None,
        "f2": None,
        "average_precision": None,
        "images": 0,
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_class_that_is_never_decided_on_has_precision_zero():
    found = ClassMetrics(("a", "b"))
    found.update(one_hot(np.array([0, 1]), 2), np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert found.macro().precision == pytest.approx(0.25)
    assert found.to_dict()["per_class"]["b"]["precision"] is None


def test_nothing_is_undefined():
    record = ClassMetrics(NAMES).to_dict()
    assert (record["accuracy"], record["f1_macro"], record["calibration_error"], record["images"]) == (
        None,
        None,
        None,
        0,
    )


def f1(truth, decided):
    return 2 * (truth & decided).sum() / (truth.sum() + decided.sum())


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_are_the_best_there_are(seed):
    truth, probabilities = several(seed, count=25)
    probabilities = np.round(probabilities, 1)
    for k, threshold in enumerate(best_thresholds(truth, probabilities)):
        if truth[:, k].any():
            tried = [f1(truth[:, k], probabilities[:, k] >= t) for t in np.linspace(0, 1, 41)]
            assert f1(truth[:, k], probabilities[:, k] >= threshold) >= max(tried) - 1e-9
        else:
            assert threshold == 0.5


def test_thresholds_amid_and_close_to_a_half():
    truth = np.array([[1], [1], [0]])
    assert best_thresholds(truth, np.array([[0.9], [0.8], [0.2]])) == (pytest.approx(0.5),)


def test_a_threshold_between_neighbouring_numbers_still_separates_them():
    probabilities = np.array([[1.0], [np.nextafter(np.float32(1), np.float32(0))]], np.float32)
    (threshold,) = best_thresholds(np.array([[1], [0]]), probabilities)
    assert (probabilities >= np.float32(threshold)).tolist() == [[True], [False]]


def test_refusals():
    found = ClassMetrics(NAMES)
    labels, probabilities = single(count=3)
    with pytest.raises(LabelError, match="must be"):
        found.update(one_hot(labels, 3), probabilities)
    with pytest.raises(LabelError, match="one class and one decision"):
        found.update(np.zeros((3, 4)), probabilities)
    with pytest.raises(LabelError, match="NaN"):
        found.update(one_hot(labels, 4), np.full((3, 4), np.nan))
    with pytest.raises(SettingsError, match="at least 2 classes"):
        ClassMetrics(("a",))
    with pytest.raises(LabelError, match="alike"):
        best_thresholds(np.zeros((2, 3)), np.zeros((2, 2)))
