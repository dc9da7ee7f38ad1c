"""Closed forms and spans; that the figure is where gradients come from is tested in test_contract.py."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.receptive import Span, receptive_field
from satsqueeze.nets.students import plain_student
from satsqueeze.nets.unet_config import UNetConfig


def test_spans():
    one = Span(5, 5)
    assert one.before_convolution(kernel=3) == Span(4, 6)
    assert one.before_convolution(kernel=3, stride=2) == Span(9, 11)
    assert one.before_convolution(kernel=2, stride=2, padding=0) == Span(10, 11)
    assert Span(-3, 5).before_upsampling(2) == Span(-2, 2)
    assert one | Span(7, 9) == Span(5, 9)


def test_two_stages_of_single_convolutions_by_hand(model_of):
    """Decoder 1, bottleneck 1 cell of 2 px, encoder 1, and the position inside of a cell."""
    config = UNetConfig(
        in_channels=1, classes=1, features=(2, 2), strides=(1, 2), convs_encoder=(1, 1), convs_decoder=(1,)
    )
    # Pixel 0: decoder reads -1..1, cells -1..0, strided convolution -3..1, first convolution -4..2; pixel 1: -2..4
    # by way of cells 0..1 and pixels -1..3.
    assert receptive_field(model_of(config)) == 4


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_double_convolutions_in_closed_form(model_of, levels):
    """Two convolutions on the way down and up at every level but one pair at the bottom, plus the cell's far side."""
    pads = sum(2 * 2 * 2**level for level in range(levels - 1)) + 2 * 2 ** (levels - 1)
    cell = 2 ** (levels - 1) - 1
    assert receptive_field(model_of(plain_student(2, levels))) == pads + cell


def test_the_figure_is_the_larger_of_both_axes(model_of):
    config = UNetConfig(
        in_channels=1,
        classes=1,
        features=(2, 2),
        strides=(1, (1, 2)),
        convs_encoder=(1, 1),
        convs_decoder=(1,),
        kernels=((9, 1), (9, 1)),
    )
    assert receptive_field(model_of(config)) == 12


def test_other_encoders_have_no_rule(model_of):
    config = SmpUNetConfig(in_channels=4, classes=2, encoder="resnet18")
    with pytest.raises(SettingsError, match="resnet18"):
        receptive_field(model_of(config, family="smp-unet-resnet34"))
