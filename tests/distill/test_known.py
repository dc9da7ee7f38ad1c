"""Labels where they are known, a teacher's answers elsewhere."""

from __future__ import annotations

import numpy as np

from satsqueeze.core.window import Window
from satsqueeze.distill.known import Known


class Answers:
    def window(self, id, window):  # noqa: A002 - the sampler's protocol
        return np.full((3, window.height, window.width), 85, np.uint8)


class Cache:
    classes = ("a", "b", "c")
    labels = np.array([[0, 1, 2, 255]], np.uint8)

    def position(self, item):
        return {"labelled": 0, "other": 1}[item]

    def label(self, position, window):
        assert position == 0, "labels of other images stay unseen"
        return self.labels[window.slices]


def test_known_labels_are_certain_and_missing_ones_are_no_target():
    known = Known(Answers(), Cache(), ["labelled"])
    found = known.window("labelled", Window(row=0, col=0, height=1, width=4))
    assert found.dtype == np.uint8
    assert found[:, 0].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]


def test_other_images_are_answered_by_the_teacher():
    known = Known(Answers(), Cache(), ["labelled"])
    assert (known.window("other", Window(row=0, col=0, height=1, width=2)) == 85).all()
