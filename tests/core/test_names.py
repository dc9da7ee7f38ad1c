"""Hints for mistyped names."""

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant, named, require_folder_names, require_seeds

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


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "..", ".", ""])
def test_names_that_lead_out_of_a_folder_are_refused(name):
    with pytest.raises(SettingsError, match="cannot name a folder of the run"):
        require_folder_names(["fine", name])


def test_names_of_folders():
    require_folder_names(["resnet8", "unet-8x5", "0.99", "slow copy", "rün", "..a"])


@pytest.mark.parametrize("seeds", [[], [-1], [0, 1, 0]])
def test_seeds_that_cannot_be(seeds):
    with pytest.raises(SettingsError, match="resnet8: expected at least one seed, each >= 0 and named once"):
        require_seeds(seeds, of="resnet8")


def test_what_is_known_by_a_name():
    assert named({"alba": 1, "borea": 2}, "borea", "country") == 2
    with pytest.raises(SettingsError, match=r"unknown country 'albo'; did you mean alba\? known: alba, borea"):
        named({"alba": 1, "borea": 2}, "albo", "country")
