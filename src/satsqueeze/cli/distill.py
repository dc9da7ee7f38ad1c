"""``satsqueeze distill``: a ladder of students from the teacher's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import PLAN, SOFT, STUDENTS, TEACHER, console, open_run, require, run_stage
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.distill.ladder import Rung, choose
from satsqueeze.distill.soft import SoftCache, Teacher, teach
from satsqueeze.distill.stage import (
    LADDER,
    DistillSettings,
    measure_rung,
    read_ladder,
    rungs_for,
    train_student,
    write_ladder,
)
from satsqueeze.distill.teachers import ModelTeacher, open_teacher
from satsqueeze.learn.stage import load_folds
from satsqueeze.nets.model import model_files
from satsqueeze.nets.students import StudentCard, student_card
from satsqueeze.plan.budget_file import read_budgets
from satsqueeze.plan.stage import TrainPlan


def command(
    run: Path,
    compression: float | None = None,
    budget: Path | None = None,
    students: list[str] | None = None,
    distill: DistillSettings = DistillSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Train the ladder of students from the teacher's answers and choose one.

    Args:
        run: run folder with a trained teacher.
        compression: how many times fewer parameters than one network of the teacher the student has; by default 280.
        budget: YAML file; its section student: limits parameters, macs_per_pixel and activation_bytes.
        students: rungs to train besides, such as unet-8 or lite-16.
        distill: settings of the students.
    """
    told = told_distillation(distill, compression=compression, students=students, budget=budget)
    rungs, chosen = distill_stage(open_run(run), told)
    print(f"{run / LADDER}:")
    for rung in rungs:
        mark = " (chosen)" if rung.name == chosen else ""
        print(f"  {rung.name}: {rung.parameters} parameters, validation Jaccard {rung.jaccard:.3f}{mark}")
    return 0


def told_distillation(
    settings: DistillSettings,
    *,
    compression: float | None = None,
    students: list[str] | None = None,
    budget: Path | None = None,
) -> DistillSettings:
    """Settings with the short flags put in.

    Raises:
        SettingsError: limits in a file and by flags, or an unknown student.
    """
    if budget is not None and settings.budget != DistillSettings().budget:
        raise SettingsError(f"limits come from {budget} or from --distill.budget, not from both; state them once")
    if compression is not None:
        settings = replace(settings, compression=compression)
    if students:
        for name in students:
            student_card(name)  # an unknown one is not found out after hours of packing
        settings = replace(settings, students=(*settings.students, *students))
    return replace(settings, budget=read_budgets(budget).student) if budget else settings


def planned_rungs(settings: DistillSettings, planned: TrainPlan) -> list[StudentCard]:
    """The students to train; asked before the teacher is trained, so that an impossible wish costs nothing.

    Raises:
        BudgetError: no student meets compression and budget.
    """
    return rungs_for(settings, planned.card, planned.parameters, side=max(planned.unet.patch_size))


def distill_stage(run: RunFolder, settings: DistillSettings) -> tuple[list[Rung], str]:
    """Teach, train every rung, choose; returns the ladder and the name of the chosen rung.

    Raises:
        BudgetError: no student meets compression and budget.
    """
    require(run, "plan")
    trained = require(run, "train") if settings.own_teacher else {}
    prepared, planned = load_prepared(run), TrainPlan.read(run / PLAN)

    others = [open_teacher(Path(source), settings.asking) for source in settings.teachers]

    def work() -> dict[str, Any]:
        students = planned_rungs(settings, planned)
        own = [own_teacher(run, planned, settings)] if settings.own_teacher else []
        soft = _ask(run, settings, prepared, [*own, *others])
        rungs = [_rung(run, student, settings, prepared, planned, soft) for student in students]
        chosen = choose(rungs, settings.budget, compression=settings.compression).name
        write_ladder(run / LADDER, rungs, chosen)
        return {"chosen": chosen, "teachers": soft.teachers}

    key = {**prepared.key, "plan": read_json(run / PLAN), "teacher": trained, "distill": settings.key}
    if others:
        key["others"] = [teacher.fingerprint for teacher in others]
    rungs = read_ladder(run / LADDER)[0] if (run / LADDER).is_file() else []
    students = [file for rung in rungs for file in model_files(rung.folder)]
    run_stage(run, "distill", key, work, outputs=(LADDER, *students))
    return read_ladder(run / LADDER)


def own_teacher(run: RunFolder, planned: TrainPlan, settings: DistillSettings) -> ModelTeacher:
    """The fold ensemble of a run."""
    models = load_folds(run / TEACHER)
    return ModelTeacher("ensemble", models, window=max(planned.unet.patch_size), asking=settings.asking)


def _ask(run: RunFolder, settings: DistillSettings, prepared: Prepared, teachers: Sequence[Teacher]) -> SoftCache:
    with progress("teacher answers") as advance:
        ids, apart = prepared.folds[0].train, bool(settings.policy)
        return teach(teachers, prepared.cache, ids, run / SOFT, advance, combine=settings.combine, apart=apart)


def _rung(  # noqa: PLR0917 - what all rungs share, in the order of its making
    run: RunFolder,
    student: StudentCard,
    settings: DistillSettings,
    prepared: Prepared,
    planned: TrainPlan,
    soft: SoftCache,
) -> Rung:
    folder = run / f"{STUDENTS}/{student.name}"
    split = prepared.folds[0]
    train_student(student, planned.card, prepared.cache, split, settings=settings, folder=folder, soft=soft)
    side = max(planned.unet.patch_size)
    rung = measure_rung(student.name, folder, run.path, teacher_parameters=planned.parameters, side=side)
    console.print(f"student {rung.name}: {rung.parameters} parameters, validation Jaccard {rung.jaccard:.3f}")
    return rung
