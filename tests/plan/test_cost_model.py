from __future__ import annotations

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan import Architecture, macs_per_pixel, parameter_count, peak_activation_bytes, plan_unet
from satsqueeze.plan.activation_memory import Step, peak_values


@pytest.mark.parametrize(
    ("edge", "planner", "parameters", "macs"),
    [
        # Counted on nnU-Net's own networks (dynamic-network-architectures 0.4.4), module by module.
        (512, "ExperimentPlanner", 46_325_422, 59_819_163_648),
        (384, "ExperimentPlanner", 33_472_684, 33_341_571_072),
        (192, "ExperimentPlanner", 20_619_946, 8_028_684_288),
        (512, "nnUNetPlannerResEncM", 140_017_902, 130_342_191_104),
    ],
)
def test_counts_of_nnunets_networks(edge: int, planner: str, parameters: int, macs: int):
    network = plan_unet(shape=(edge, edge), channels=4, labels=2, n=60, planner=planner).architecture
    assert parameter_count(network, channels=4, labels=2) == parameters
    assert macs_per_pixel(network, channels=4, labels=2) * edge * edge == macs


def test_flat_kernels_and_uneven_strides():
    plain = plan_unet(shape=(512, 300), spacing=(1, 5), channels=4, labels=2, n=60)
    assert parameter_count(plain.architecture, channels=4, labels=2) == 46_169_006
    assert macs_per_pixel(plain.architecture, channels=4, labels=2) * 512 * 300 != 0


def _tiny(encoder: str) -> Architecture:
    return Architecture(
        encoder=encoder,
        features_per_stage=(2, 3),
        strides=((1, 1), (2, 2)),
        kernel_sizes=((3, 3), (3, 3)),
        n_conv_per_stage=(1, 1),
        n_conv_per_stage_decoder=(1,),
    )


def test_counts_by_hand():
    # Weights + bias + affine norm of each convolution, in the order in which they run.
    encoder = (9 * 5 * 2 + 3 * 2) + (9 * 2 * 3 + 3 * 3)
    decoder = (4 * 3 * 2 + 2) + (9 * 4 * 2 + 3 * 2) + (2 * 7 + 7)
    assert parameter_count(_tiny("plain"), channels=5, labels=7) == encoder + decoder
    macs = 9 * 5 * 2 + 9 * 2 * 3 / 4 + 3 * 2 + 9 * 4 * 2 + 2 * 7
    assert macs_per_pixel(_tiny("plain"), channels=5, labels=7) == macs


def test_residual_blocks_by_hand():
    stem = 9 * 5 * 2 + 3 * 2
    first = 2 * (9 * 2 * 2 + 3 * 2)
    second = (9 * 2 * 3 + 3 * 3) + (9 * 3 * 3 + 3 * 3) + (2 * 3 + 2 * 3)
    decoder = (4 * 3 * 2 + 2) + (9 * 4 * 2 + 3 * 2) + (2 * 7 + 7)
    assert parameter_count(_tiny("residual"), channels=5, labels=7) == stem + first + second + decoder


def test_auxiliary_heads_cost_parameters_but_no_inference():
    network = plan_unet(shape=(64, 64), channels=4, labels=2, n=60).architecture
    heads = sum(2 * width + 2 for width in network.features_per_stage[1:-1])
    with_heads = parameter_count(network, channels=4, labels=2)
    assert with_heads - parameter_count(network, channels=4, labels=2, deep_supervision=False) == heads


def test_peak_values_of_a_chain_and_of_a_skip():
    chain = [Step(reads=("image",), writes="a", values=10), Step(reads=("a",), writes="b", values=4)]
    assert peak_values(chain, image=3) == 14
    skip = [*chain, Step(reads=("a", "b"), writes="c", values=20)]
    assert peak_values(skip, image=3) == 34
    in_place = [*chain, Step(reads=("b", "a"), writes=None), Step(reads=("b",), writes="c", values=20)]
    assert peak_values(in_place, image=3) == 24


def test_peak_activation_is_the_finest_concatenation():
    # Skip, up-sampled map and their copy: four maps of full width, at four bytes.
    plan = plan_unet(shape=(512, 512), channels=4, labels=2, n=60)
    peak = peak_activation_bytes(plan.architecture, channels=4, labels=2, patch_size=plan.patch_size)
    assert peak == 4 * 4 * 32 * 512 * 512
    small = peak_activation_bytes(
        plan.architecture, channels=4, labels=2, patch_size=plan.patch_size, bytes_per_value=1
    )
    assert small * 4 == peak


def test_peak_activation_by_hand():
    # 4x4 image of 50 bands: the first convolution holds 800 + 32 numbers, more than anything later.
    assert peak_activation_bytes(_tiny("plain"), channels=50, labels=1, patch_size=(4, 4), bytes_per_value=1) == 832
    # One band: joined (2 x 32) with skip and up (32 each).
    assert peak_activation_bytes(_tiny("plain"), channels=1, labels=1, patch_size=(4, 4), bytes_per_value=1) == 128
    # A hundred classes: logits (1600) beside the last map (32).
    assert (
        peak_activation_bytes(_tiny("residual"), channels=1, labels=100, patch_size=(4, 4), bytes_per_value=1) == 1632
    )


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"labels": 0}])
def test_counts_of_nothing_are_refused(wrong: dict):
    asked = {"channels": 4, "labels": 2, **wrong}
    for count in (parameter_count, macs_per_pixel):
        with pytest.raises(SettingsError, match="got 0, expected at least 1"):
            count(_tiny("plain"), **asked)
    with pytest.raises(SettingsError, match="got 0, expected at least 1"):
        peak_activation_bytes(_tiny("plain"), patch_size=(4, 4), **asked)
