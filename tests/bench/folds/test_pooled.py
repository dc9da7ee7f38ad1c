"""Pooled scores against direct computation."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.bench.folds.pooled import pool, seed_scores, write_counts
from satsqueeze.core.errors import SplitError

A = np.array([[50, 10], [20, 20]])
B = np.array([[80, 0], [10, 10]])


def test_folds_are_put_together(tmp_path):
    write_counts(tmp_path / "0.json", {"l8/a": A})
    write_counts(tmp_path / "1.json", {"s2/b": B})
    pooled = pool([tmp_path / "0.json", tmp_path / "1.json"])
    np.testing.assert_array_equal(pooled["l8/a"], A)
    np.testing.assert_array_equal(pooled["s2/b"], B)


def test_an_image_of_two_folds_is_refused(tmp_path):
    for name in ("0.json", "1.json"):
        write_counts(tmp_path / name, {"l8/a": A})
    with pytest.raises(SplitError, match="l8/a was validated on in more than one fold"):
        pool([tmp_path / "0.json", tmp_path / "1.json"])


def test_without_foreground_scores_are_means_over_the_classes():
    counts = {"a/1": np.array([[4, 0, 0], [0, 2, 2], [0, 0, 0]])}
    (found, _) = seed_scores([counts], (), "p")
    assert found.jaccard == pytest.approx((1 + 0.5 + 0) / 3)


def test_scores_are_global_and_by_source_with_spread_over_seeds():
    seeds = [{"l8/a": A, "s2/b": B}, {"l8/a": B, "s2/b": B}]
    everything, landsat, sentinel = seed_scores(seeds, (1,), "protocol")
    first, second = 30 / (30 + 10 + 30), 20 / (20 + 20)
    assert everything.jaccard == pytest.approx((first + second) / 2)
    assert everything.spread == pytest.approx(np.std([first, second], ddof=1))
    assert (everything.source, landsat.source, sentinel.source) == ("all", "l8", "s2")
    assert landsat.jaccard == pytest.approx((20 / 50 + 10 / 20) / 2)
    assert sentinel.spread == pytest.approx(0)
    assert everything.images == 2
    assert everything.further["jaccard_per_image_mean"] == pytest.approx(np.mean([20 / 50, 10 / 20, 10 / 20, 10 / 20]))
