"""``satsqueeze plan``: network and training by nnU-Net's rules, every decision with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from satsqueeze.cli.distill import planned_rungs
from satsqueeze.cli.fingerprint import prepare_stage
from satsqueeze.cli.stage import DEFAULT_RUN, PLAN, TEACHER, run_stage
from satsqueeze.core.errors import RunError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared, PrepareSettings
from satsqueeze.distill.stage import DistillSettings
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.budget_file import read_budgets
from satsqueeze.plan.schedule import Norm
from satsqueeze.plan.speed import training_macs_per_second
from satsqueeze.plan.stage import PlanSettings, TrainPlan, plan_training
from satsqueeze.plan.unet_plan import UNetPlan


def command(
    data: str,
    *,
    out: Path = DEFAULT_RUN,
    card: str | None = None,
    bands: list[str] | None = None,
    budget: Path | None = None,
    folds: int = 3,
    seed: int = 0,
    plan: PlanSettings = PlanSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Plan network and training by nnU-Net's rules, shrunk to a budget; every decision with its reason.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; created if absent.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names of the bands to use, in channel order; by default all that the sources share.
        budget: YAML file with limits: parameters, macs_per_pixel, activation_bytes, train_minutes (per fold); of its
            section student it is only asked whether any student can meet it; give the file to distill, too.
        folds: folds of the teacher ensemble, by scene.
        seed: of splits and training.
        plan: settings of the planner.
    """
    run = RunFolder(out)
    settings = PrepareSettings(data=data, card=card, bands=tuple(bands or ()), folds=folds, seed=seed)
    told = told_plan(plan, budget=budget, seed=seed)
    planned = plan_stage(told, run, prepare_stage(settings, run))
    limits = read_budgets(budget).student if budget else Budget()
    if limits != Budget():
        # What no student can meet is told now, not after a teacher has been trained.
        planned_rungs(DistillSettings(compression=1, budget=limits), planned)
    print(f"{out / PLAN}: {planned.parameters:,} parameters per network")
    for decision in planned.decisions:
        print(f"  {decision}")
    if limits != Budget():
        print(f"limits of students count in 'satsqueeze distill {out} --budget {budget}', not here")
    return 0


def told_plan(plan: PlanSettings, *, budget: Path | None, seed: int) -> PlanSettings:
    """Settings of the planner with the short flags put in.

    Raises:
        SettingsError: limits in a file and by flags, or another seed than that of the rest.
    """
    require_one_seed(seed, {"--plan.seed": plan.seed})
    if budget is not None and plan.budget != PlanSettings().budget:
        raise SettingsError(f"limits come from {budget} or from --plan.budget, not from both; state them in one place")
    return replace(plan, budget=read_budgets(budget).teacher if budget else plan.budget, seed=seed)


def require_one_seed(seed: int, stated: Mapping[str, int]) -> None:
    """Refuse seeds of single stages, by their flags, that the seed of all stages would replace unsaid.

    Raises:
        SettingsError: one is another than that of the rest, and not 0 as where nothing was stated.
    """
    for flag, other in stated.items():
        if other not in (0, seed):
            raise SettingsError(f"--seed is that of all stages: got {seed}, and {other} by {flag}; state one")


def plan_stage(settings: PlanSettings, run: RunFolder, prepared: Prepared) -> TrainPlan:
    """Plan, or read the finished plan back.

    Raises:
        RunError: a teacher has been trained by another plan in this folder.
    """
    key = {**prepared.key, "plan": settings}

    def speed(unet: UNetPlan, norm: Norm) -> float:
        found = prepared.fingerprint
        return training_macs_per_second(unet, norm, channels=len(found.bands), labels=len(found.classes))

    def work() -> dict[str, Any]:
        if (run / TEACHER).exists() and not run.is_done("plan", key):
            raise RunError(
                f"{run.path} holds a teacher that was planned with other settings; choose a new --out folder, or "
                f"remove {run / TEACHER} to train anew"
            )
        planned = plan_training(prepared.fingerprint, settings, speed=speed)
        planned.write(run / PLAN)
        return {"parameters": planned.parameters}

    run_stage(run, "plan", key, work, outputs=(PLAN,))
    return TrainPlan.read(run / PLAN)
