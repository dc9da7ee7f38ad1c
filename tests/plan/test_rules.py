from __future__ import annotations

import math

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan import Architecture, dataset_geometry, rules
from satsqueeze.plan.feature_maps import feature_map_elements
from satsqueeze.plan.presets import planner_preset
from satsqueeze.plan.topology import plan_topology

PLAIN = planner_preset("ExperimentPlanner")
RESIDUAL = planner_preset("nnUNetPlannerResEncM")


def test_start_patch_is_square_on_the_ground():
    square = rules.start_patch(PLAIN, shape=(9000.0, 9000.0), spacing=(1.0, 4.0)).value
    assert square == (4096.0, 1024.0)
    assert rules.start_patch(PLAIN, shape=(300.5, 9000.0), spacing=(1.0, 1.0)).value == (300.5, 2048.0)


def test_features_double_up_to_a_ceiling():
    assert rules.features(PLAIN, stages=7).value == (32, 64, 128, 256, 512, 512, 512)


def test_residual_presets_count_blocks():
    assert rules.blocks(RESIDUAL, stages=5).value == ((1, 3, 4, 6, 6), (1, 1, 1, 1))


def test_memory_limit_scales_with_the_gpu():
    assert rules.memory_limit(PLAIN, vram_gb=16).value == 170_000_000
    assert rules.memory_limit(planner_preset("nnUNetPlannerResEncL"), vram_gb=12).value == 190_000_000


@pytest.mark.parametrize(("preset", "fits"), [(PLAIN, 6 * 85_000_000), (RESIDUAL, 135_000_000)])
def test_the_plain_preset_gives_up_batch_before_patch(preset, fits):
    limit = rules.memory_limit(preset, vram_gb=8).value
    assert not rules.exceeds_memory(preset, elements=fits, limit=limit)
    assert rules.exceeds_memory(preset, elements=fits + 10, limit=limit)


def test_ties_shorten_the_last_axis_and_no_valid_size_is_skipped():
    topology = plan_topology(patch=(256, 256), spacing=(1, 1), minimum_edge=4)
    assert topology.divisor == (64, 64)
    # 224 is divisible by 32, which is what a network for 192 would need.
    assert rules.smaller_patch(PLAIN, topology, shape=(256.0, 256.0), spacing=(1, 1)) == (256, 224)
    assert rules.smaller_patch(PLAIN, topology, shape=(200.0, 256.0), spacing=(1, 1)) == (224, 256)


@pytest.mark.parametrize(
    ("patch", "strides"),
    [
        ((7, 7), ()),
        ((8, 8), ((2, 2),)),
        # A single axis is halved from 12 px on only.
        ((11, 7), ()),
        ((12, 7), ((2, 1),)),
        # 16.5 is halved to 9 (rounded up), and again to 5.
        ((16.5, 16.5), ((2, 2), (2, 2))),
    ],
)
def test_axes_are_halved_while_long_enough(patch, strides):
    topology = plan_topology(patch=patch, spacing=(1, 1), minimum_edge=4)
    assert topology.strides == ((1, 1), *strides)
    assert all(edge % step == 0 for edge, step in zip(topology.patch_size, topology.divisor, strict=True))


def test_spacing_within_a_factor_of_two_counts_as_equal():
    nearly = plan_topology(patch=(64, 64), spacing=(1, 1.999), minimum_edge=4)
    coarse = plan_topology(patch=(64, 64), spacing=(1, 2), minimum_edge=4)
    assert nearly.strides[1] == (2, 2)
    assert nearly.kernel_sizes[0] == (3, 3)
    assert coarse.strides[1] == (2, 1)
    assert coarse.kernel_sizes[:2] == ((3, 1), (3, 3))


def _network(encoder: str) -> Architecture:
    return Architecture(
        encoder=encoder,
        features_per_stage=(2, 4, 4),
        strides=((1, 1), (2, 2), (2, 1)),
        kernel_sizes=((3, 3), (3, 3), (3, 3)),
        n_conv_per_stage=(1, 2, 3),
        n_conv_per_stage_decoder=(2, 1),
    )


def test_feature_map_elements_by_hand():
    # Stages of an 8x8 image: 8x8, 4x4, 2x4 -> 128, 64, 32 numbers per map of full width.
    head = 5 * 64
    decoder = 64 * (1 + 2) + 128 * (1 + 1)
    plain = 128 * 1 + 64 * 2 + 32 * 3
    # Stem, two convolutions per block, a shortcut where width or size changes.
    residual = 128 + 128 * 2 + 64 * (4 + 1) + 32 * (6 + 1)
    assert feature_map_elements(_network("plain"), patch_size=(8, 8), labels=5) == plain + decoder + head
    assert feature_map_elements(_network("residual"), patch_size=(8, 8), labels=5) == residual + decoder + head


def test_reference_of_the_plain_preset():
    # 85 million elements stand for the 512 px network at batch 12: per stage 2 encoder maps, 3 decoder maps, a head.
    edges_and_widths = [(512 >> stage, min(512, 32 << stage)) for stage in range(8)]
    maps = [edge * edge * width for edge, width in edges_and_widths]
    elements = rules.draft(PLAIN, patch=(512.0, 512.0), spacing=(1, 1), labels=2).elements
    assert elements == 2 * sum(maps) + 3 * sum(maps[:-1]) + 2 * 512 * 512
    assert round(PLAIN.reference_elements / elements * PLAIN.reference_batch) == 12


def test_dataset_geometry_takes_medians_after_resampling():
    geometry = dataset_geometry(
        shapes=[(100, 100), (200, 50), (400, 80), (10, 30)], spacings=[(10, 10), (10, 10), (10, 20), (10, 10)]
    )
    assert geometry.spacing == (10.0, 10.0)
    assert geometry.shape == (150.0, 75.0)
    assert geometry.n == 4


@pytest.mark.parametrize(
    ("shapes", "spacings"),
    [([], []), ([(1, 1)], []), ([(1, 0)], [(1, 1)]), ([(1, 1)], [(1, math.nan)]), ([(1, 1, 1)], [(1, 1)])],
)
def test_dataset_geometry_refuses_what_is_no_geometry(shapes, spacings):
    with pytest.raises(SettingsError, match="expected"):
        dataset_geometry(shapes=shapes, spacings=spacings)
