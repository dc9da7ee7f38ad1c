"""Shares of labels: as many as asked for, every class, always the same."""

from dataclasses import dataclass

import pytest

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.data.splits.label_share import share_of_labels


@dataclass
class Entry:
    class_pixels: tuple[int, ...]


class Cache:
    classes = ("a", "b", "c")

    def __init__(self, *pixels):
        self.entries = [Entry(counts) for counts in pixels]

    def position(self, name):
        return int(name)


def names(cache):
    return [str(number) for number in range(len(cache.entries))]


def test_it_is_a_share_that_holds_every_class():
    cache = Cache(*[(5, 1, 0)] * 30, *[(5, 0, 9)] * 10, (0, 0, 0))
    for seed in range(20):
        found = share_of_labels(cache, names(cache), share=0.1, seed=seed)
        assert len(found) == 4
        assert "40" not in found
        assert {int(name) < 30 for name in found} == {True, False}
        assert found == share_of_labels(cache, names(cache), share=0.1, seed=seed)
    assert len({share_of_labels(cache, names(cache), share=0.1, seed=seed) for seed in range(20)}) > 10
    assert len(share_of_labels(cache, names(cache), share=1, seed=0)) == 40


def test_a_class_that_no_image_holds_is_not_asked_for():
    cache = Cache((5, 5, 0), (5, 5, 0))
    assert len(share_of_labels(cache, names(cache), share=0.01, seed=0)) == 1


def test_what_cannot_be_drawn():
    apart = Cache((5, 0, 0), (0, 5, 0), (0, 0, 5))
    with pytest.raises(SplitError, match=r"0.5 of 3 labelled images are 2, which leaves a class empty.*larger share"):
        share_of_labels(apart, names(apart), share=0.5, seed=0)
    with pytest.raises(SettingsError, match=r"in \(0, 1\], got 0"):
        share_of_labels(apart, names(apart), share=0, seed=0)
    with pytest.raises(SplitError, match="has a labelled pixel"):
        share_of_labels(Cache((0, 0, 0)), ["0"], share=1, seed=0)
