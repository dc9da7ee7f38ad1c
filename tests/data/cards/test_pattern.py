from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsqueeze.core.errors import CardError
from satsqueeze.data.cards.pattern import PathPattern, anywhere, fill, join_key

WORD = st.text("abcXYZ019_-", min_size=1, max_size=8)


@given(folders=st.lists(WORD, max_size=3), scene=WORD, tile=st.integers(0, 999))
def test_captures_what_was_written(folders, scene, tile):
    above = "".join(f"/{folder}" for folder in folders) + "/"
    found = PathPattern(r"{above}images/{scene}_{tile:\d+}.tif").match(f"{above}images/{scene}_{tile}.tif")
    assert found == {"above": above, "scene": scene, "tile": str(tile)}


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**/a/*.tif", "/x/y/a/b.tif", True),
        ("**/a/*.tif", "a/b.TIFF", True),
        ("**/a/*.tif", "/x/a/c/b.tif", False),
        ("{above}A/{name}.tif", "/x/a/b.tif", True),
        ("{above}{_:labels?|masks?}/{name}.tif", "/x/Masks/b.tif", True),
        ("{above}{name}/{name}.tif", "/x/p1/p1.tif", True),
        ("{above}{name}/{name}.tif", "/x/p1/p2.tif", False),
        ("{above}a.b", "/x/aab", False),
    ],
)
def test_match(pattern, path, matches):
    assert (PathPattern(pattern).match(path) is not None) == matches


def test_band_tokens_are_told_apart_where_one_begins_another():
    pattern = PathPattern("{above}{name}_{band}.tif", ("B8", "B8A"))
    assert pattern.match("/x/p_B8A.tif") == {"above": "/x/", "name": "p", "band": "B8A"}
    assert pattern.match("/x/p_B9.tif") is None


@pytest.mark.parametrize("text", ["a{b", "{above}{1x}", "{above}{name:(}.tif"])
def test_refuses_what_cannot_be_compiled(text):
    with pytest.raises(CardError, match=re.escape(text)):
        _ = PathPattern(text).regex


def test_anywhere_leaves_anchored_patterns_alone():
    assert [anywhere(text) for text in ("a/*.tif", "**/a", "{above}a")] == ["{above}a/*.tif", "**/a", "{above}a"]


def test_fill_and_its_error():
    assert fill("{a}/{b}", {"a": "1", "b": "2"}) == "1/2"
    with pytest.raises(CardError, match="needs names that the image pattern captures"):
        fill("{c}", {"a": "1"})


def test_join_key_ignores_case():
    assert join_key({"a": "X", "b": "y"}, ["b", "a"]) == ("y", "x")
