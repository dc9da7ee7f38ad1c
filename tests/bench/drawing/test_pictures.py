from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.bench.drawing.pictures import (
    AGREEMENT,
    LARGEST_SIDE,
    Panel,
    agreement,
    mask_uri,
    panel_pictures,
    pick_cases,
)
from satsqueeze.core.errors import GridError, SettingsError


def decode(uri):
    from matplotlib.image import imread

    kind, data = uri.removeprefix("data:image/").split(";base64,")
    return np.round(imread(io.BytesIO(base64.b64decode(data)), format=kind)[..., :3] * 255).astype(np.uint8)


def test_a_mask_has_the_colours_of_its_classes():
    picture = decode(mask_uri(np.uint8([[0, 1, 2, 3, 255]]), ("clear", "thick cloud", "thin cloud", "shadow")))
    assert picture[0, 1].tolist() == [255, 255, 255]
    assert picture[0, 4].tolist() == [0, 0, 0]
    assert len({tuple(colour) for colour in picture[0].tolist()}) == 5


def test_agreement_marks_each_kind_of_error():
    image = np.full((1, 5, 3), 200, np.uint8)
    label, mask = np.uint8([[1, 0, 2, 0, 255]]), np.uint8([[2, 1, 3, 0, 1]])
    found = agreement(image, label, mask, (1, 2))
    assert found[0, 0].tolist() == list(AGREEMENT["found"])
    assert found[0, 1].tolist() == list(AGREEMENT["false alarm"])
    assert found[0, 2].tolist() == list(AGREEMENT["missed"])
    assert found[0, 3].tolist() == [90, 90, 90]
    assert found[0, 4].tolist() == [0, 0, 0]


def test_cases_are_worst_typical_and_best():
    scores = [0.9, 0.1, None, 0.5, 0.95, float("nan"), 0.2, 0.6, 0.55]
    assert pick_cases(scores) == [(1, "worst"), (6, "worst"), (8, "typical"), (3, "typical"), (4, "best"), (0, "best")]
    assert pick_cases([None]) == []
    with pytest.raises(SettingsError):
        pick_cases([0.5], each=0)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12), st.integers(1, 4))
def test_no_image_is_picked_twice(scores, each):
    picked = [position for position, _ in pick_cases(scores, each=each)]
    known = sum(score is not None for score in scores)
    assert len(picked) == len(set(picked)) == min(known, 3 * each)


def panel(shape=(20, 30), **changes):
    mask = np.zeros(shape, np.uint8)
    fields = {"image": np.zeros((*shape, 3), np.uint8), "label": mask, "student": mask, "caption": "x"}
    return Panel(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"image": np.zeros((20, 31, 3), np.uint8)},
        {"image": np.zeros((20, 30), np.uint8)},
        {"student": np.zeros((19, 30), np.uint8)},
        {"teacher": np.zeros((20, 29), np.uint8)},
    ],
)
def test_sizes_must_agree(changes):
    with pytest.raises(GridError, match="of its size"):
        panel(**changes)


def test_large_pictures_are_thinned_out():
    pictures = panel_pictures(panel((700, 400)), ("a", "b"), (1,))
    assert [title for title, _ in pictures] == ["image", "label", "student", "student against label"]
    assert all(max(decode(uri).shape) <= LARGEST_SIDE for _, uri in pictures)
