"""The stages as commands: each reads what the ones before it left in the run folder, and is skipped when done."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import PrepareSettings, Prepared, load_prepared, prepare
from satsqueeze.distill.ladder import choose
from satsqueeze.distill.soft import teach
from satsqueeze.distill.stage import (
    LADDER,
    DistillSettings,
    measure_rung,
    read_ladder,
    rungs_for,
    train_student,
    write_ladder,
)
from satsqueeze.distill.teachers import ModelTeacher
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.learn.stage import load_folds, train_folds
from satsqueeze.nets.model import load_model
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.cost_model import parameter_count
from satsqueeze.plan.speed import training_macs_per_second
from satsqueeze.plan.stage import PlanSettings, TrainPlan, plan_training, read_budget
from satsqueeze.plan.unet_plan import plan_unet

PLAN = "plan.json"
RUN = Path("runs/latest")
console = Console(stderr=True)


def fingerprint(data: str, out: Path = RUN, card: str | None = None, folds: int = 3, seed: int = 0) -> int:
    """Pack a data set, split it by scene and take its fingerprint.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; created if absent.
        card: name of the dataset card, where the folder has no dataset.yaml.
        folds: folds of the teacher ensemble, by scene.
        seed: of the splits.
    """
    prepared = prepare_stage(PrepareSettings(data=data, card=card, folds=folds, seed=seed), RunFolder(out))
    found = prepared.fingerprint
    print(f"{out}/fingerprint.json: {found.cases} training images of {found.groups} groups, bands {', '.join(found.bands)}")
    for entry in prepared.cache.quarantine:
        print(f"left out: {entry.reason}")
    return 1 if prepared.cache.quarantine else 0


def plan(
    data: str,
    out: Path = RUN,
    card: str | None = None,
    budget: Path | None = None,
    folds: int = 3,
    seed: int = 0,
    settings: PlanSettings = PlanSettings(),
) -> int:
    """Plan network and training by nnU-Net's rules, shrunk to a budget; every decision with its reason.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; created if absent.
        card: name of the dataset card, where the folder has no dataset.yaml.
        budget: YAML file with limits: parameters, macs_per_pixel, activation_bytes, train_minutes (per fold).
        folds: folds of the teacher ensemble, by scene.
        seed: of the splits.
        settings: the planner's.
    """
    run = RunFolder(out)
    prepared = prepare_stage(PrepareSettings(data=data, card=card, folds=folds, seed=seed), run)
    limits = read_budget(budget) if budget else settings.budget
    planned = plan_stage(replace(settings, budget=limits), run, prepared)
    print(f"{out / PLAN}:")
    for decision in planned.decisions:
        print(f"  {decision}")
    return 0


def train(run: Path) -> int:
    """Train the planned teacher, one network per fold; resumes where it was stopped.

    Args:
        run: run folder with a plan.
    """
    train_stage(RunFolder(run))
    return 0


def distill(run: Path, settings: DistillSettings = DistillSettings()) -> int:
    """Train the ladder of students from the teacher ensemble and choose one.

    Args:
        run: run folder with a trained teacher.
        settings: of the students.
    """
    distill_stage(RunFolder(run), settings, Budget())
    return 0


def export(run: Path, settings: ExportSettings = ExportSettings()) -> int:
    """Export, quantise and prove the chosen student as a flight package.

    Args:
        run: run folder with a ladder of students.
        settings: of the export.
    """
    print(export_stage(RunFolder(run), settings))
    return 0


def prepare_stage(settings: PrepareSettings, run: RunFolder) -> Prepared:
    """Pack, split, fingerprint, with a progress bar."""
    with progress("reading images") as advance:
        return prepare(settings, run, on_progress=advance)


def plan_stage(settings: PlanSettings, run: RunFolder, prepared: Prepared) -> TrainPlan:
    """Plan, or read the finished plan back."""
    if not run.is_done("plan", settings):
        started = time.monotonic()
        speed = _speed(settings, prepared) if settings.budget.train_minutes else None
        plan_training(prepared.fingerprint, settings, macs_per_second=speed).write(run / PLAN)
        run.finish("plan", settings, {"macs_per_second": speed}, time.monotonic() - started)
    return TrainPlan.read(run / PLAN)


def _speed(settings: PlanSettings, prepared: Prepared) -> float:
    found = prepared.fingerprint
    sizes = {"channels": len(found.bands), "labels": len(found.classes)}
    unet = plan_unet(
        shape=found.median_shape, n=found.cases, planner=settings.planner, vram_gb=settings.vram_gb, **sizes
    )
    return training_macs_per_second(unet, **sizes)


def train_stage(run: RunFolder) -> None:
    """Train all folds."""
    prepared, planned = load_prepared(run), TrainPlan.read(run / PLAN)
    settings = {"plan": read_json(run / PLAN)}
    if run.is_done("train", settings):
        return
    started = time.monotonic()
    results = train_folds(planned.card, prepared.cache, prepared.folds, planned.fit, run / "teacher")
    scores = [result.best_score for result in results]
    console.print(f"teacher: validation Jaccard by fold {', '.join(f'{s:.3f}' for s in scores if s is not None)}")
    run.finish("train", settings, {"validation_jaccard": scores}, time.monotonic() - started)


def distill_stage(run: RunFolder, settings: DistillSettings, budget: Budget) -> str:
    """Teach, train every rung, choose; returns the name of the chosen rung."""
    prepared, planned = load_prepared(run), TrainPlan.read(run / PLAN)
    key = {"plan": read_json(run / PLAN), "distill": settings, "budget": budget}
    if run.is_done("distill", key):
        return read_ladder(run / LADDER)[1]
    started = time.monotonic()
    split = prepared.folds[0]
    models = load_folds(run / "teacher")
    if not models:
        raise RunError(f"{run.path} has no trained teacher; run 'satsqueeze train {run.path}' first")
    teacher = ModelTeacher("ensemble", models, window=max(planned.unet.patch_size), mirror=True)
    with progress("teacher answers") as advance:
        soft = teach([teacher], prepared.cache, split.train, run / "soft", on_progress=advance)
    parameters = _teacher_parameters(planned)
    rungs = []
    for student in rungs_for(settings, planned.card, parameters):
        folder = run / "students" / student.name
        train_student(student, planned.card, prepared.cache, split, soft, settings, folder)
        side = max(planned.unet.patch_size)
        rungs.append(measure_rung(student.name, folder, run.path, teacher_parameters=parameters, side=side))
        console.print(f"student {student.name}: {rungs[-1].parameters} parameters, Jaccard {rungs[-1].jaccard:.3f}")
    chosen = choose(rungs, budget, compression=settings.compression).name
    write_ladder(run / LADDER, rungs, chosen)
    run.finish("distill", key, {"chosen": chosen}, time.monotonic() - started)
    return chosen


def _teacher_parameters(planned: TrainPlan) -> int:
    sizes = {"channels": len(planned.card.bands), "labels": len(planned.card.classes)}
    return parameter_count(planned.unet.architecture, **sizes)


def export_stage(run: RunFolder, settings: ExportSettings) -> Path:
    """Export the chosen rung; returns the folder of the package."""
    prepared = load_prepared(run)
    rungs, chosen = read_ladder(run / LADDER)
    rung = next(rung for rung in rungs if rung.name == chosen)
    folder = run / "packages" / chosen
    key = {"ladder": read_json(run / LADDER), "export": settings}
    if run.is_done("export", key):
        return folder
    started = time.monotonic()
    split = prepared.folds[0]
    export_package(
        load_model(run / rung.folder),
        prepared.cache,
        split.train,
        split.validation,
        settings,
        folder,
        name=chosen,
        description=f"{', '.join(prepared.cache.classes)} from {', '.join(prepared.cache.bands)}",
        training={"rung": rung.to_dict(), "data": prepared.fingerprint.to_dict()},
    )
    run.finish("export", key, {"package": f"packages/{chosen}"}, time.monotonic() - started)
    return folder


@contextmanager
def progress(what: str) -> Any:
    """A progress bar on a terminal; yields a function of (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


