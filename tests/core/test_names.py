"""Hints for mistyped names."""

import pytest

from satsqueeze.core.names import meant

KNOWN = ("resnet8", "resnet16", "wrn-eca-b0", "Mixer")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("resnet9", "did you mean resnet8 or resnet16? "),
        ("mixer", "did you mean Mixer? "),
        ("RESNET8", "did you mean resnet8 or resnet16? "),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_closest_names_are_asked_for(typed, hint):
    assert meant(typed, KNOWN) == hint


def test_nothing_known_means_nothing():
    assert meant("resnet8", ()) == ""
