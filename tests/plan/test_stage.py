"""The whole plan of a data set: its network, its record, its reasons."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import BudgetError, RunError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.data.cache.fingerprint import BandStatistics, Fingerprint
from satsqueeze.nets.model import build_model
from satsqueeze.nets.students import parameters_of
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.schedule import ScheduleSettings
from satsqueeze.plan.stage import PlanSettings, TrainPlan, network, plan_training
from satsqueeze.plan.unet_plan import plan_unet

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")


def fingerprint(side=256, cases=24):
    row = BandStatistics(mean=0.2, std=0.1, p005=0.0, p50=0.2, p995=0.9)
    return Fingerprint(
        cases=cases,
        median_shape=(side, side),
        spacing=(10.0, 10.0),
        channels=4,
        bands=BANDS,
        classes=CLASSES,
        foreground=(1, 2),
        class_share=(0.6, 0.2, 0.1, 0.1),
        statistics=dict.fromkeys(BANDS, row),
        groups=cases,
        sources={"made": cases},
        labelled=cases,
        valid_share=1.0,
    )


def test_without_wishes_it_is_nnunets_plan():
    planned = plan_training(fingerprint(), PlanSettings())
    want = plan_unet(shape=(256, 256), channels=4, labels=4, n=24)
    assert planned.unet == want
    assert (planned.fit.epochs, planned.fit.steps_per_epoch, planned.fit.optimiser) == (1000, 250, "sgd")
    assert (planned.fit.batch_size, planned.fit.patch_size) == (want.batch_size, want.patch_size)
    assert planned.card.config == network(want, in_channels=4, classes=4)
    assert planned.card.scaling.mean == (0.2,) * 4


def test_a_median_size_may_be_a_half():
    assert plan_training(fingerprint(96), PlanSettings()).unet.patch_size == (96, 96)
    assert plan_training(fingerprint(96.5), PlanSettings()).unet.patch_size == (112, 112)


def test_parameters_are_those_of_the_network():
    planned = plan_training(fingerprint(64), PlanSettings(budget=Budget(parameters=200_000)))
    assert planned.parameters == parameters_of(planned.card.config) <= 200_000
    assert sum(p.numel() for p in build_model(planned.card, seed=0).parameters()) == planned.parameters


@pytest.mark.parametrize(("side", "memory"), [(128, 1e-4), (7, None)])
def test_memory_and_images_too_small_for_two_stages_are_told(side, memory):
    with pytest.raises(BudgetError, match=rf"vram_gb: .* GB and images of {side}x{side} px leave a patch"):
        plan_training(fingerprint(side), PlanSettings(vram_gb=memory))


def test_every_decision_has_a_rule_and_a_reason():
    settings = PlanSettings(
        budget=Budget(parameters=2_200_000), schedule=ScheduleSettings(epochs=10, steps_per_epoch=40)
    )
    decisions = plan_training(fingerprint(), settings).decisions
    assert all(decision.rule and decision.reason.endswith(".") for decision in decisions)
    rules = [decision.rule for decision in decisions]
    for rule in ("batch-size", "halve-width", "steps-told", "norm", "normalisation", "ignore-label", "folds"):
        assert rule in rules


def test_the_budget_of_a_network_comes_before_that_of_time():
    """A network that is small enough already is not shrunk for minutes that it does not need."""
    speeds = []

    def speed(unet, norm):
        speeds.append((unet.features_per_stage[0], norm))
        return 3e10

    budget = Budget(parameters=2_200_000, train_minutes=20)
    planned = plan_training(fingerprint(), PlanSettings(budget=budget), speed=speed)
    assert speeds == [(8, "batch")]
    assert planned.card.config.norm == "batch", "what was measured is what is trained"
    assert planned.unet.features_per_stage == (8, 16, 32, 64, 128, 128, 128)
    assert planned.fit.steps > 400


def test_a_plan_is_read_back(tmp_path):
    settings = PlanSettings(schedule=ScheduleSettings(epochs=2, steps_per_epoch=3), normalisation="image")
    planned = plan_training(fingerprint(), settings)
    planned.write(tmp_path / "plan.json")
    assert TrainPlan.read(tmp_path / "plan.json") == planned


@pytest.mark.parametrize("remove", ["unet", "model", "fit", "decisions"])
def test_what_is_no_plan_is_refused(tmp_path, remove):
    path = tmp_path / "plan.json"
    plan_training(fingerprint(64), PlanSettings()).write(path)
    write_json(path, {key: value for key, value in read_json(path).items() if key != remove})
    with pytest.raises(RunError, match=r"is not a plan of this version.*plan again"):
        TrainPlan.read(path)
    with pytest.raises(RunError, match="does not exist"):
        TrainPlan.read(tmp_path / "absent.json")


def test_what_nothing_meets_is_refused():
    with pytest.raises(BudgetError, match="parameters: got a limit of 100"):
        plan_training(fingerprint(), PlanSettings(budget=Budget(parameters=100)))


def test_the_norm_is_that_of_the_recipe():
    short = ScheduleSettings(epochs=2, steps_per_epoch=3)
    assert plan_training(fingerprint(64), PlanSettings()).card.config.norm == "instance"
    assert plan_training(fingerprint(64), PlanSettings(schedule=short)).card.config.norm == "batch"
    assert plan_training(fingerprint(64), PlanSettings(norm="batch")).card.config.norm == "batch"


@pytest.mark.parametrize(("how", "text"), [("dataset", "absolute brightness"), ("image", "is lost")])
def test_normalisation_is_explained(how, text):
    planned = plan_training(fingerprint(64), PlanSettings(normalisation=how))
    assert planned.card.normalisation == how
    assert text in next(d.reason for d in planned.decisions if d.rule == "normalisation")
