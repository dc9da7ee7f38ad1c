from __future__ import annotations

import pytest
import torch

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.nets.cost import cost
from satsqueeze.nets.cost import count_parameters as count_of_module
from satsqueeze.nets.named import named_network
from satsqueeze.nets.receptive import receptive_field
from satsqueeze.nets.students import (
    STUDENTS,
    coarse_student,
    lite_student,
    parameters_of,
    plain_student,
    student_card,
    student_for,
    student_for_ratio,
)
from satsqueeze.nets.unet import UNet

# Published: widths, parameters for 4 bands and 1 class, GMAC at 512 x 512.
LADDER = [
    ("unet-2", (2, 4, 8, 16), 7_865, 0.16),
    ("unet-4", (4, 8, 16, 32), 30_753, 0.61),
    ("unet-6", (6, 12, 24, 48), 68_665, 1.35),
    ("unet-16x3", (16, 32, 64), 117_825, 6.46),
    ("unet-8", (8, 16, 32, 64), 121_601, 2.37),
    ("unet-4x5", (4, 8, 16, 32, 64), 122_497, 0.79),
    ("unet-9", (9, 18, 36, 72), 153_703, 2.99),
    ("unet-10", (10, 20, 40, 80), 189_561, 3.68),
    ("unet-8x5", (8, 16, 32, 64, 128), 487_361, 3.08),
    ("unet-16", (16, 32, 64, 128), 483_585, 9.32),
    ("unet-16x5", (16, 32, 64, 128, 256), 1_944_193, 12.2),
]


@pytest.mark.parametrize(("name", "features", "parameters", "gmacs"), LADDER)
def test_the_ladder_is_that_of_the_paper(model_of, name, features, parameters, gmacs):
    config = student_card(name).fitted(in_channels=4, classes=1)
    assert config.features == features
    assert parameters_of(config) == parameters
    assert cost(model_of(config), height=512, width=512).macs / 1e9 == pytest.approx(gmacs, abs=0.01 + 0.005 * gmacs)


def test_every_plain_rung_is_in_the_ladder_of_the_paper():
    assert {name for name in STUDENTS if name.startswith("unet-")} == {row[0] for row in LADDER}


@pytest.mark.parametrize("name", STUDENTS)
def test_students_do_not_look_at_the_whole_window(name):
    config = STUDENTS[name].config
    assert config.norm == "batch"
    assert (config.in_channels, config.classes) == (4, 2)


def test_counting_allocates_nothing_and_agrees_with_the_network():
    config = lite_student(8)
    assert parameters_of(config) == count_of_module(UNet(config))
    with torch.device("meta"):
        assert all(p.is_meta for p in UNet(config).parameters())


@pytest.mark.parametrize("family", ["unet", "lite", "coarse"])
def test_the_student_for_a_size_is_nearly_the_largest_that_fits(family):
    scan = {
        "unet": [plain_student(base, levels) for base in range(2, 33) for levels in (4, 5)],
        "lite": [lite_student(base) for base in range(2, 65)],
        "coarse": [coarse_student(base) for base in range(8, 129)],
    }[family]
    sizes = sorted(map(parameters_of, scan))
    middle = sizes[len(sizes) // 3]
    for target in (sizes[0], 46_325_422 // 280, middle - 1, middle, sizes[-1], 10**9):
        card = student_for(target, in_channels=4, classes=2, family=family)
        largest = max(size for size in sizes if size <= target)
        assert 0.9 * largest <= parameters_of(card.config) <= largest
        assert card.name.startswith(family)


def test_the_student_for_a_size_has_the_names_of_the_ladder():
    assert student_for(121_610, in_channels=4, classes=2) == STUDENTS["unet-8"]
    # The five-level one of widths 4..64 is larger by a hundredth, and computes a third.
    assert student_for(122_502, in_channels=4, classes=2) == STUDENTS["unet-8"]
    for name, family in (("lite-16", "lite"), ("coarse-16", "coarse"), ("coarse-64", "coarse")):
        rung = STUDENTS[name]
        assert student_for(parameters_of(rung.config), in_channels=4, classes=2, family=family) == rung


def test_a_ratio_is_at_least_met():
    card = student_for_ratio(46_325_422, 280, in_channels=4, classes=2)
    assert card.name == "unet-9"
    assert 280 <= 46_325_422 / parameters_of(card.config) < 310


def test_a_size_below_the_smallest_is_refused():
    with pytest.raises(BudgetError, match="at most 100 parameters: the smallest has"):
        student_for(100, in_channels=4, classes=2)


def test_unknown_names_and_impossible_ratios_are_refused():
    with pytest.raises(SettingsError, match="unknown student 'tiny'; known: unet-2"):
        student_card("tiny")
    with pytest.raises(SettingsError, match="unknown student family 'dense'"):
        student_for(10_000, in_channels=4, classes=2, family="dense")
    with pytest.raises(SettingsError, match=r"compression: got 0.5"):
        student_for_ratio(1000, 0.5, in_channels=4, classes=2)


def test_lite_widths_are_multiples_of_four():
    assert STUDENTS["lite-16"].config.features == (16, 24, 32, 48, 64)
    for base in range(1, 65):
        features = lite_student(base).features
        assert all(width % 4 == 0 and width > 0 for width in features)
        assert list(features) == sorted(features)


def test_coarse_widths_are_whole_vectors_and_reach_nearly_as_far_as_lite(model_of):
    assert STUDENTS["coarse-48"].config.features == (48, 64, 96, 128)
    for base in range(1, 129, 9):
        features = coarse_student(base).features
        assert all(width % 16 == 0 and width > 0 for width in features)
        assert list(features) == sorted(features)
    assert receptive_field(model_of(coarse_student(16))) > 0.9 * receptive_field(model_of(lite_student(4)))


@pytest.mark.parametrize(("lite", "plain"), [("lite-8", "unet-4"), ("lite-16", "unet-8"), ("lite-32", "unet-16")])
def test_a_lite_student_has_more_parameters_for_less_work_and_memory(model_of, lite, plain):
    """And reaches three times as far."""
    cheap, dear = (model_of(STUDENTS[name].config) for name in (lite, plain))
    ours, theirs = (cost(model, height=256, width=256) for model in (cheap, dear))
    assert ours.parameters > theirs.parameters
    assert 2 * ours.macs < theirs.macs
    assert 2 * ours.peak_activation_bytes < theirs.peak_activation_bytes
    assert receptive_field(cheap) > 3 * receptive_field(dear)


def test_a_student_that_a_budget_chose_is_known_by_its_name():
    chosen = student_for(5000, in_channels=4, classes=2, family="lite")
    assert chosen.name not in STUDENTS
    assert student_card(chosen.name) == chosen
    assert named_network(chosen.name).fitted(in_channels=4, classes=2) == chosen.config
    with pytest.raises(SettingsError, match="unknown student 'lite-99'"):
        student_card("lite-99")
    with pytest.raises(SettingsError, match="unknown student 'lite-99'"):
        named_network("lite-99")
