from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.plan import PLANNERS, UNetPlan, dataset_geometry, plan_unet
from satsqueeze.plan.topology import plan_topology
from satsqueeze.plan.unet_plan import LARGEST_RATIO

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "nnunet"
INPUTS = ("shape", "spacing", "channels", "labels", "n", "planner", "vram_gb")
OUTPUTS = (
    "patch_size",
    "batch_size",
    "n_stages",
    "features_per_stage",
    "strides",
    "kernel_sizes",
    "n_conv_per_stage",
    "n_conv_per_stage_decoder",
)
needs_oracle = pytest.mark.skipif(not ORACLE.is_dir(), reason="nnU-Net's own plans are not on this machine")


def decided(plan: UNetPlan) -> dict[str, object]:
    record = plan.to_dict()
    return {name: record[name] for name in OUTPUTS}


@needs_oracle
def test_every_plan_of_the_sweep_is_reproduced():
    rows = json.loads((ORACLE / "sweep.json").read_text())
    assert len(rows) > 200
    for row in rows:
        asked = {name: row[name] for name in INPUTS}
        assert decided(plan_unet(**asked)) == {name: row[name] for name in OUTPUTS}, asked


@needs_oracle
@pytest.mark.parametrize("case", ["case1_cloud512", "case2_cloud384", "case4_mixed"])
@pytest.mark.parametrize("planner", PLANNERS)
def test_plans_follow_from_the_fingerprint(case: str, planner: str):
    folder = ORACLE / case
    fingerprint = json.loads((folder / "dataset_fingerprint.json").read_text())
    dataset = json.loads((folder / "dataset.json").read_text())
    geometry = dataset_geometry(
        shapes=[tuple(shape[1:]) for shape in fingerprint["shapes_after_crop"]],
        spacings=[tuple(spacing[1:]) for spacing in fingerprint["spacings"]],
    )
    name = planner.replace("nnUNetPlannerResEnc", "nnUNetResEncUNet").replace("ExperimentPlanner", "nnUNet") + "Plans"
    wanted = json.loads((folder / f"{name}.json").read_text())["configurations"]["2d"]
    network = wanted["architecture"]["arch_kwargs"]

    plan = plan_unet(
        shape=geometry.shape,
        spacing=geometry.spacing,
        channels=len(dataset["channel_names"]),
        labels=len(dataset["labels"]),
        n=geometry.n,
        planner=planner,
    )

    blocks = network.get("n_conv_per_stage") or network["n_blocks_per_stage"]
    expected = {**wanted, **network, "n_conv_per_stage": blocks}
    assert decided(plan) == {name: expected[name] for name in OUTPUTS}
    assert list(geometry.shape) == wanted["median_image_size_in_voxels"]


@pytest.mark.parametrize(
    ("asked", "patch", "batch", "stages"),
    [
        # 5 % of 60 images is 3 patches; 12 would fit.
        ({"shape": (512, 512), "n": 60}, (512, 512), 3, 8),
        # The whole data set may be one batch of a residual preset.
        ({"shape": (16, 16), "n": 1000, "planner": "nnUNetPlannerResEncXL"}, (16, 16), 1000, 3),
        # 500 px are padded to four times 128.
        ({"shape": (500, 500), "n": 10_000}, (512, 512), 12, 8),
        # An image too small to pool: a single stage, and the 5 % rule gives way to the minimum of 2.
        ({"shape": (7, 7), "n": 10}, (7, 7), 2, 1),
    ],
)
def test_closed_forms(asked: dict, patch: tuple[int, int], batch: int, stages: int):
    plan = plan_unet(channels=4, labels=2, **asked)
    assert (plan.patch_size, plan.batch_size, plan.n_stages) == (patch, batch, stages)


def test_the_patch_gives_way_when_memory_is_short():
    large = plan_unet(shape=(1024, 1024), channels=4, labels=2, n=1000, vram_gb=24)
    small = plan_unet(shape=(1024, 1024), channels=4, labels=2, n=1000, vram_gb=4)
    assert large.patch_size == (1024, 1024)
    assert small.patch_size < large.patch_size
    assert small.batch_size == 2


def test_a_coarse_axis_is_pooled_later_and_with_flat_kernels():
    plan = plan_unet(shape=(512, 128), spacing=(1.0, 4.0), channels=4, labels=2, n=1000)
    assert plan.strides[:4] == ((1, 1), (2, 1), (2, 1), (2, 2))
    assert plan.kernel_sizes[:3] == ((3, 1), (3, 1), (3, 3))


def test_bands_do_not_change_the_plan_but_labels_do():
    def batch(channels: int, labels: int) -> int:
        return plan_unet(shape=(256, 256), channels=channels, labels=labels, n=100_000).batch_size

    assert batch(1, 2) == batch(13, 2)
    assert batch(4, 40) < batch(4, 2)


def test_the_target_memory_defaults_to_the_presets_own():
    asked = {"shape": (1024, 768), "channels": 4, "labels": 2, "n": 500}
    for name, preset in PLANNERS.items():
        own = plan_unet(**asked, planner=name, vram_gb=preset.reference_gb)
        assert plan_unet(**asked, planner=name) == own


def test_half_pixels_of_a_median_are_padded_up():
    assert plan_unet(shape=(7.5, 6.5), channels=1, labels=2, n=9).patch_size == (8, 7)


def test_every_decision_has_a_reason_and_reasons_do_not_count_in_comparison():
    plan = plan_unet(shape=(1830, 1000), spacing=(1, 5), channels=4, labels=2, n=60)
    rules = [decision.rule for decision in plan.reasons]
    assert rules == [
        "start-patch",
        "divisible-patch",
        "memory-limit",
        "shrink-patch",
        "depth",
        "kernels",
        "features",
        "blocks",
        "batch-size",
    ]
    assert all(decision.reason.endswith(".") and any(map(str.isdigit, decision.reason)) for decision in plan.reasons)
    assert replace(plan, reasons=()) == plan
    assert str(plan.reasons[-1]).startswith("batch-size: memory allows 2")


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    spacing=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    planner=st.sampled_from(sorted(PLANNERS)),
    n=st.integers(1, 2000),
    vram_gb=st.floats(2, 40),
)
def test_any_plan_is_consistent(height, width, spacing, planner, n, vram_gb):
    plan = plan_unet(
        shape=(height, width), spacing=spacing, channels=4, labels=3, n=n, planner=planner, vram_gb=vram_gb
    )
    # The patch is a fixed point: planning its topology again changes nothing.
    topology = plan_topology(patch=plan.patch_size, spacing=spacing, minimum_edge=4)
    assert (topology.patch_size, topology.strides) == (plan.patch_size, plan.strides)
    assert plan.batch_size >= 2
    assert min(plan.architecture.sizes(plan.patch_size)[-1]) >= min(4, height, width)
    assert UNetPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_survives_json_with_its_reasons():
    plan = plan_unet(shape=(300, 200), channels=4, labels=2, n=60, planner="nnUNetPlannerResEncM")
    back = UNetPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert back == plan
    assert back.reasons == plan.reasons


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": (0, 64)}, "shape: got"),
        ({"labels": float("nan")}, "labels: got nan, expected at least 1, a whole number"),
        ({"n": 10**400}, "n: got 1"),
        ({"channels": 1.5}, "channels: got 1.5"),
        ({"shape": 256}, "shape: got 256, expected two numbers"),
        ({"shape": (1e300, 1e300)}, "expected sides up to"),
        ({"spacing": (1e-300, 1)}, "spacings that differ by up to"),
        ({"vram_gb": "8"}, "vram_gb: got '8'"),
        ({"shape": (64,)}, "shape: got 1 values"),
        ({"shape": (0.5, 64)}, "at least one pixel"),
        ({"spacing": (1, -1)}, "spacing: got"),
        ({"channels": 0}, "channels: got 0"),
        ({"labels": 0}, "labels: got 0"),
        ({"n": 0}, "n: got 0"),
        ({"vram_gb": 0}, "vram_gb: got 0"),
        ({"vram_gb": float("nan")}, "vram_gb: got nan"),
        ({"planner": "BestPlanner"}, "expected one of ExperimentPlanner"),
        ({"planner": ["ExperimentPlanner"]}, "planner: got \\['ExperimentPlanner'\\], expected one of"),
        ({"vram_gb": 1e308}, "vram_gb: got 1e\\+308, expected a positive number of GB up to"),
        ({"vram_gb": 10**400}, "vram_gb: got 1"),
        ({"spacing": (1e10, 1)}, "differ by up to 1e\\+07 times"),
        ({"spacing": (1, 1e10)}, "differ by up to 1e\\+07 times"),
        ({"spacing": (1e300, 1e300)}, "give it in another unit"),
        ({"spacing": (1e-320, 1e-320)}, "give it in another unit"),
        ({"shape": (10**6, 10), "spacing": (1e-6, 1)}, "expected at most 14"),
    ],
)
def test_impossible_requests_are_refused(wrong: dict, message: str):
    asked = {"shape": (64, 64), "channels": 4, "labels": 2, "n": 10, **wrong}
    with pytest.raises(SettingsError, match=message):
        plan_unet(**asked)


@pytest.mark.parametrize(
    ("asked", "numpy"),
    [
        ({"labels": 300_000}, {"labels": np.int32(300_000)}),
        ({"labels": 2}, {"labels": np.uint8(2)}),
        ({"n": 100}, {"n": np.int8(100)}),
        ({"shape": (200, 200)}, {"shape": np.array([200, 200], np.uint8)}),
        ({"vram_gb": 8}, {"vram_gb": np.float16(8)}),
    ],
)
def test_numbers_of_numpy_plan_what_those_of_python_do(asked: dict, numpy: dict):
    """``mask.max() + 1`` is a count of eight bits, in which no feature map can be counted."""
    usual = {"shape": (512, 512), "channels": 4, "labels": 3, "n": 100}
    assert plan_unet(**{**usual, **numpy}) == plan_unet(**{**usual, **asked})


@pytest.mark.parametrize("ratio", [LARGEST_RATIO, 1 / LARGEST_RATIO])
def test_the_most_elongated_pixels_can_be_planned_for(ratio: float):
    assert min(plan_unet(shape=(512, 512), spacing=(ratio, 1), channels=4, labels=2, n=10).patch_size) == 1


def test_a_memory_that_holds_no_patch_is_refused():
    with pytest.raises(BudgetError, match="no patch fits"):
        plan_unet(shape=(64, 64), channels=4, labels=2, n=10, vram_gb=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_stages": 7}, "n_stages: got 7, expected 8"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"patch_size": (500, 512)}, "expected positive multiples"),
        ({"strides": ((1, 1),)}, "strides: got 1 entries"),
        ({"encoder": "dense"}, "encoder: got 'dense'"),
        ({"features_per_stage": (0,) * 8}, "at least 1"),
    ],
)
def test_a_plan_that_is_no_network_is_refused(change: dict, message: str):
    plan = plan_unet(shape=(512, 512), channels=4, labels=2, n=60)
    with pytest.raises(SettingsError, match=message):
        replace(plan, **change)


def test_a_record_with_missing_keys_is_refused():
    with pytest.raises(SettingsError, match="patch_size, batch_size"):
        UNetPlan.from_dict({"n_stages": 3})
