from __future__ import annotations

import json
from dataclasses import replace

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.unet_config import UNetConfig, pair

BASE = UNetConfig(
    in_channels=4, classes=2, features=(8, 16, 32), strides=(1, 2, 2), convs_encoder=(2, 2, 2), convs_decoder=(2, 2)
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": (8,)}, "features: got 1 entries, expected 2"),
        ({"strides": (1, 2)}, "strides: got 2 entries, expected 3"),
        ({"convs_encoder": (2, 2)}, "convs_encoder: got 2 entries, expected 3"),
        ({"convs_decoder": (2, 2, 2)}, "convs_decoder: got 3 entries, expected 2"),
        ({"kernels": (3,)}, "kernels: got 1 entries, expected 3"),
        ({"features": (8, 0, 32)}, "features: got .* at least 1"),
        ({"strides": (1, (2, 0), 2)}, "strides: got .* at least 1"),
        ({"strides": (2, 2, 2)}, "first stage cannot stride"),
        ({"strides": (1, (2, 2, 2), 2)}, r"two \(y, x\)"),
        ({"kernels": (3, 2, 3)}, "odd numbers"),
        ({"in_channels": 0}, "in_channels and classes"),
        ({"classes": 0}, "in_channels and classes"),
        ({"detail": -1}, "detail at least 0"),
        ({"stem": 3}, "stem: got 3"),
        ({"encoder": "dense"}, "encoder: got 'dense'"),
        ({"norm": "group"}, "norm: got 'group'"),
        ({"activation": "gelu"}, "activation: got 'gelu'"),
        ({"downsample": "blur"}, "downsample: got 'blur'"),
        ({"upsample": "bilinear"}, "upsample: got 'bilinear'"),
        ({"skip": "none"}, "skip: got 'none'"),
        ({"detail": 4}, "detail: got 4 with a stem of 1"),
        ({"stem": 2, "stem_width": 8}, "stem_width: got 8 with a stem of 2; it needs one of 4"),
        ({"stem": 2, "deep_supervision": True}, "deep_supervision needs a stem of 1"),
        ({"encoder": "residual", "separable": True}, "residual encoder"),
        ({"encoder": "residual", "downsample": "maxpool"}, "residual encoder"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(BASE, **changes)


@pytest.mark.parametrize(
    ("changes", "multiple"),
    [({}, 4), ({"stem": 2}, 8), ({"stem": 4}, 16), ({"strides": (1, (2, 1), 2)}, 4), ({"strides": (1, (3, 2), 1)}, 6)],
)
def test_the_size_multiple_covers_stem_and_strides_of_both_axes(changes, multiple):
    assert replace(BASE, **changes).size_multiple == multiple


def test_json_round_trip():
    config = replace(BASE, strides=(1, (2, 1), 2), kernels=((3, 1), 3, 5), stem=2, detail=2)
    assert UNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_record_with_other_keys_is_refused():
    with pytest.raises(SettingsError, match="no setting depth"):
        UNetConfig.from_dict({**BASE.to_dict(), "depth": 3})
    with pytest.raises(SettingsError, match="classes"):
        UNetConfig.from_dict({"in_channels": 3})


def test_pairs_are_the_same_whichever_way_they_are_written():
    assert pair(3) == pair((3, 3)) == (3, 3)
    assert replace(BASE, kernels=()).kernel_pairs == replace(BASE, kernels=(3, (3, 3), 3)).kernel_pairs
