"""How long to train: nnU-Net's schedule, one that is told, and what minutes allow, against counts by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.plan.budget import Budget, plan_cost
from satsqueeze.plan.cost_model import macs_per_pixel
from satsqueeze.plan.feature_maps import feature_map_elements
from satsqueeze.plan.schedule import (
    EPOCHS,
    FEWEST_STEPS,
    SMALLEST_BATCH,
    Request,
    ScheduleSettings,
    plan_schedule,
    recipe,
)
from satsqueeze.plan.shrink import shrink_to_budget
from satsqueeze.plan.unet_plan import plan_unet

SIZES = {"channels": 4, "labels": 4}
TINY = plan_unet(shape=(128, 128), n=24, **SIZES)
LARGE = plan_unet(shape=(512, 512), n=1000, **SIZES)


def request(minutes=None, speed=1e12, **told):
    return Request(
        **SIZES,
        planner="ExperimentPlanner",
        budget=Budget(train_minutes=minutes),
        told=ScheduleSettings(**told),
        speed=None if speed is None else lambda _, norm: speed,
    )


def seconds(unet, steps, speed):
    pixels = steps * unet.batch_size * math.prod(unet.patch_size)
    return pixels * 3 * macs_per_pixel(unet.architecture, **SIZES) / speed


def rules(schedule):
    return [decision.rule for decision in schedule.decisions]


def test_left_alone_it_is_nnunets():
    schedule = plan_schedule(TINY, request())
    assert schedule.unet == TINY
    assert (TINY.batch_size, schedule.epochs, schedule.steps_per_epoch, schedule.decisions) == (2, 1000, 250, ())


def test_what_is_told_is_done_and_recorded():
    schedule = plan_schedule(TINY, request(epochs=3, steps_per_epoch=7, batch_size=5, patch_size=(64, 96)))
    assert (schedule.epochs, schedule.steps_per_epoch) == (3, 7)
    assert (schedule.unet.batch_size, schedule.unet.patch_size) == (5, (64, 96))
    assert schedule.unet.architecture == TINY.architecture
    assert rules(schedule) == ["patch-told", "batch-told", "steps-told"]


def test_half_of_it_told_leaves_the_rest_to_nnunet():
    assert plan_schedule(TINY, request(epochs=3)).steps_per_epoch == 250
    assert plan_schedule(TINY, request(steps_per_epoch=3)).epochs == 1000


def test_a_short_schedule_has_steady_batches():
    schedule = plan_schedule(TINY, request(epochs=3, steps_per_epoch=7))
    assert schedule.unet.batch_size == SMALLEST_BATCH
    assert rules(schedule)[0] == "batch-for-short-schedule"
    assert "2 -> 6 patches" in schedule.decisions[0].reason


def test_but_not_beyond_memory():
    elements = feature_map_elements(TINY.architecture, patch_size=TINY.patch_size, labels=4)
    # nnU-Net's proxy: 85 million elements are 12 patches in 8 GB; here is room for three and a half.
    tight = replace(request(epochs=3), vram_gb=8 * elements * 3.5 / 12 / 85e6)
    assert plan_schedule(TINY, tight).unet.batch_size == 3


@pytest.mark.parametrize("minutes", [1.0, 5.0, 60.0])
def test_minutes_buy_steps_first(minutes):
    schedule = plan_schedule(TINY, request(minutes))
    steps = schedule.epochs * schedule.steps_per_epoch
    assert schedule.unet.architecture == TINY.architecture
    assert schedule.unet.batch_size == SMALLEST_BATCH
    assert schedule.epochs == EPOCHS
    assert steps >= FEWEST_STEPS
    assert seconds(schedule.unet, steps, 1e12) <= 60 * minutes < seconds(schedule.unet, steps + EPOCHS, 1e12) * 1.01


def test_then_a_smaller_batch():
    assert LARGE.batch_size > SMALLEST_BATCH
    minutes = seconds(replace(LARGE, batch_size=8), FEWEST_STEPS, 1e12) / 60
    schedule = plan_schedule(LARGE, request(minutes))
    assert schedule.unet.architecture == LARGE.architecture
    assert SMALLEST_BATCH <= schedule.unet.batch_size <= 8
    assert schedule.epochs * schedule.steps_per_epoch == FEWEST_STEPS
    assert rules(schedule) == ["batch-for-time", "steps-for-time"]


def test_then_a_smaller_network_that_uses_the_time():
    minutes = seconds(replace(TINY, batch_size=SMALLEST_BATCH), FEWEST_STEPS, 1e12) / 60 / 2
    schedule = plan_schedule(TINY, request(minutes))
    steps = schedule.epochs * schedule.steps_per_epoch
    assert schedule.unet.features_per_stage[0] == 16
    assert schedule.unet.n_stages == TINY.n_stages
    assert steps > FEWEST_STEPS
    assert seconds(schedule.unet, steps, 1e12) <= 60 * minutes
    assert "halve-width" in [decision.rule for decision in schedule.unet.reasons]


def test_a_slower_small_network_is_measured_again():
    measured = []

    def speed(unet, norm):
        measured.append(unet.features_per_stage[0])
        return 1e12 * unet.features_per_stage[0] / 32

    minutes = seconds(replace(TINY, batch_size=SMALLEST_BATCH), FEWEST_STEPS, 1e12) / 60 / 2
    schedule = plan_schedule(TINY, replace(request(minutes), speed=speed))
    assert measured[:2] == [32, 16]
    steps = schedule.epochs * schedule.steps_per_epoch
    assert seconds(schedule.unet, steps, speed(schedule.unet, "batch")) <= 60 * minutes


def test_a_patch_that_is_told_stays_and_the_network_meets_the_budget_with_it():
    limit = plan_cost(LARGE, **SIZES).activation_bytes // 8
    within = shrink_to_budget(LARGE, Budget(activation_bytes=limit), **SIZES)[0]
    asked = replace(request(patch_size=(512, 512)), budget=Budget(activation_bytes=limit))
    schedule = plan_schedule(within, asked)
    assert schedule.unet.patch_size == (512, 512)
    assert plan_cost(schedule.unet, **SIZES).activation_bytes <= limit
    with pytest.raises(BudgetError, match="activation_bytes"):
        plan_schedule(within, replace(asked, budget=Budget(activation_bytes=1000)))


def test_minutes_do_not_halve_a_patch_that_is_told():
    patch = (128, 64)
    schedule = plan_schedule(TINY, request(0.3, speed=1e9, patch_size=patch))
    assert schedule.unet.patch_size == patch
    assert plan_schedule(TINY, request(0.3, speed=1e9)).unet.patch_size != TINY.patch_size


def test_the_norm_that_is_trained_is_timed():
    asked = []

    def speed(unet, norm):
        asked.append(norm)
        return 1e12

    plan_schedule(TINY, replace(request(5.0), speed=speed))
    plan_schedule(TINY, replace(request(5.0, batch_size=2), speed=speed))
    plan_schedule(TINY, replace(request(5.0), speed=speed, norm="instance"))
    assert asked == ["batch", "instance", "instance"]


def test_steps_that_are_told_shrink_the_network_to_the_minutes():
    minutes = seconds(TINY, 1000, 1e12) / 60 / 2
    schedule = plan_schedule(TINY, request(minutes, epochs=10, steps_per_epoch=100, batch_size=2))
    assert schedule.epochs * schedule.steps_per_epoch == 1000
    assert schedule.unet.features_per_stage[0] < TINY.features_per_stage[0]


def test_more_minutes_than_nnunet_needs_change_nothing_but_the_cut():
    schedule = plan_schedule(TINY, request(1e6))
    assert schedule.epochs * schedule.steps_per_epoch == 250_000


def test_minutes_that_nothing_meets_are_refused():
    with pytest.raises(BudgetError, match="train_minutes: got a limit of"):
        plan_schedule(TINY, request(1e-6))


def test_minutes_need_a_measured_speed():
    with pytest.raises(SettingsError, match="measure it first"):
        plan_schedule(TINY, request(1.0, speed=None))


def test_a_patch_that_the_network_cannot_take_is_refused():
    with pytest.raises(SettingsError, match=r"patch_size: got \(100, 128\), expected positive multiples of"):
        plan_schedule(TINY, request(patch_size=(100, 128)))


@pytest.mark.parametrize("name", ["epochs", "steps_per_epoch", "batch_size"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(SettingsError, match=f"schedule {name}: got 0, expected at least 1"):
        ScheduleSettings(**{name: 0})


def test_a_long_schedule_is_nnunets_recipe():
    fit = FitSettings(epochs=100, steps_per_epoch=100)
    assert recipe(fit).fit == fit
    assert recipe(fit).norm == "instance"
    assert recipe(fit, "batch").norm == "batch"
    assert [d.rule for d in recipe(fit).decisions] == ["recipe"]


@pytest.mark.parametrize(
    ("patch", "degrees"), [((256, 256), 180), ((256, 384), 180), ((256, 400), 15), ((512, 256), 15)]
)
def test_elongated_patches_are_turned_little(patch, degrees):
    for fit in (FitSettings(patch_size=patch), FitSettings(patch_size=patch, epochs=1, steps_per_epoch=9)):
        found = recipe(fit)
        assert found.fit.augment.rotation_degrees == degrees
        assert ("rotation" in [d.rule for d in found.decisions]) == (degrees == 15)


def test_a_short_one_replaces_what_takes_long():
    fit = FitSettings(epochs=100, steps_per_epoch=99)
    short = recipe(fit)
    assert (short.fit.optimiser, short.fit.schedule, short.norm) == ("adamw", "onecycle", "batch")
    assert short.fit.augment == AugmentSettings.geometric()
    assert [d.rule for d in short.decisions] == ["optimiser", "augmentation", "norm"]
    assert all("9900 steps are few" in d.reason for d in short.decisions)
    assert recipe(fit, "instance").norm == "instance"


def test_batch_norm_needs_a_batch():
    assert recipe(FitSettings(epochs=1, steps_per_epoch=9, batch_size=2)).norm == "instance"


def test_the_norm_does_not_follow_the_shape_of_a_patch():
    square = FitSettings(epochs=1, steps_per_epoch=9, patch_size=(256, 256))
    long = replace(square, patch_size=(512, 128))
    assert recipe(long).norm == recipe(square).norm == "batch"
    assert {d.rule for d in recipe(long).decisions} == {d.rule for d in recipe(square).decisions} | {"rotation"}
