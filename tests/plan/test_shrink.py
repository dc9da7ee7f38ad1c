from __future__ import annotations

import pytest

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.plan import (
    PLANNERS,
    SHRINK_RULES,
    Budget,
    TrainingLoad,
    plan_cost,
    plan_unet,
    shrink_to_budget,
)
from satsqueeze.plan.budget import FIGURES
from satsqueeze.plan.shrink import smallest_plan

BANDS = {"channels": 4, "labels": 2}
LOAD = TrainingLoad(macs_per_second=1e11, epochs=10)


def planned(planner: str = "ExperimentPlanner"):
    return plan_unet(shape=(512, 384), n=60, planner=planner, **BANDS)


def test_a_budget_that_is_met_changes_nothing():
    plan = planned()
    same, steps = shrink_to_budget(plan, Budget(parameters=50_000_000), **BANDS)
    assert same == plan
    assert same.reasons == plan.reasons
    assert steps == []


def test_width_goes_before_depth_and_every_step_is_recorded():
    plan = planned()
    small, steps = shrink_to_budget(plan, Budget(parameters=150_000), **BANDS)
    assert [step.rule for step in steps] == ["halve-width"] * 2 + ["drop-deepest-stage"] * 3
    assert small.features_per_stage == (8, 16, 32, 64)
    assert plan_cost(small, **BANDS).parameters <= 150_000
    assert small.reasons == (*plan.reasons, *steps)
    assert "base width 32 -> base width 16" in steps[0].reason
    assert "limit 150,000" in steps[0].reason


def test_only_rules_that_lower_an_exceeded_figure_are_used():
    plan = planned()
    figures = plan_cost(plan, **BANDS)
    _, steps = shrink_to_budget(plan, Budget(activation_bytes=figures.activation_bytes // 50), **BANDS)
    assert {step.rule for step in steps} == {"halve-width", "halve-patch"}


def test_stages_that_a_smaller_patch_cannot_feed_go_with_it():
    plan = planned()
    rule = next(rule for rule in SHRINK_RULES if rule.name == "halve-patch")
    assert (plan.patch_size, plan.n_stages) == ((512, 384), 7)
    smaller = rule.apply(plan)
    assert (smaller.patch_size, smaller.n_stages) == ((256, 384), 7)
    smaller = rule.apply(smaller)
    assert (smaller.patch_size, smaller.n_stages) == ((256, 192), 6)


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("share", [0.5, 0.01, 0.004])
def test_any_figure_can_be_brought_down(planner: str, figure: str, share: float):
    plan = planned(planner)
    limit = getattr(plan_cost(plan, **BANDS, training=LOAD), figure) * share
    small, steps = shrink_to_budget(plan, Budget.from_dict({figure: limit}), **BANDS, training=LOAD)
    assert getattr(plan_cost(small, **BANDS, training=LOAD), figure) <= limit
    assert steps


@pytest.mark.parametrize("planner", PLANNERS)
def test_no_rule_raises_any_figure(planner: str):
    plan = planned(planner)
    for rule in SHRINK_RULES:
        before = plan_cost(plan, **BANDS, training=LOAD)
        while (smaller := rule.apply(plan)) is not None:
            after = plan_cost(smaller, **BANDS, training=LOAD)
            assert all(getattr(after, name) <= getattr(before, name) for name in FIGURES), rule.name
            plan, before = smaller, after
    assert plan.features_per_stage[0] == 2
    assert plan.n_stages == 3
    assert set(plan.n_conv_per_stage) == {1}


@pytest.mark.parametrize("figure", FIGURES)
def test_the_smallest_figure_is_reached_and_anything_below_is_refused(figure: str):
    plan = planned()
    floor = getattr(plan_cost(smallest_plan(plan), **BANDS, training=LOAD), figure)
    small, _ = shrink_to_budget(plan, Budget(**{figure: floor}), **BANDS, training=LOAD)
    assert getattr(plan_cost(small, **BANDS, training=LOAD), figure) == floor
    with pytest.raises(BudgetError, match=f"{figure}: got a limit of .* expected at least"):
        shrink_to_budget(plan, Budget(**{figure: floor * 0.99}), **BANDS, training=LOAD)


def test_training_minutes_by_hand():
    plan = planned()
    load = TrainingLoad(macs_per_second=1e9, epochs=2, steps_per_epoch=5, passes=3.0)
    cost = plan_cost(plan, **BANDS, training=load)
    pixels = 2 * 5 * plan.batch_size * plan.patch_size[0] * plan.patch_size[1]
    assert cost.train_minutes == pytest.approx(pixels * cost.macs_per_pixel * 3 / 1e9 / 60)
    assert plan_cost(plan, **BANDS).train_minutes is None


def test_minutes_need_a_measured_speed():
    with pytest.raises(SettingsError, match="measured speed"):
        shrink_to_budget(planned(), Budget(train_minutes=5), **BANDS)


@pytest.mark.parametrize(
    "record",
    [{"parameters": 0}, {"macs_per_pixel": -1.0}, {"watts": 5.0}, {"parameters": "1M"}, {"parameters": float("nan")}],
)
def test_budgets_that_cannot_be_are_refused(record: dict):
    with pytest.raises(SettingsError, match="budget"):
        Budget.from_dict(record)


def test_training_loads_that_cannot_be_are_refused():
    with pytest.raises(SettingsError, match="training macs_per_second: got 0"):
        TrainingLoad(macs_per_second=0)
