"""``satsqueeze squeeze``: all stages, from a data set to a flight package and its report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from json import dumps
from pathlib import Path

from satsqueeze.bench.row import BenchRow
from satsqueeze.bench.suite import PackageBench
from satsqueeze.cli.bench import bench_stage
from satsqueeze.cli.distill import distill_stage, planned_rungs, told_distillation
from satsqueeze.cli.export import export_stage
from satsqueeze.cli.fingerprint import prepare_stage
from satsqueeze.cli.plan import plan_stage, require_one_seed, told_plan
from satsqueeze.cli.pretrain import teacher_pretrain_stage
from satsqueeze.cli.report import report_stage
from satsqueeze.cli.stage import DEFAULT_RUN
from satsqueeze.cli.table import print_table
from satsqueeze.cli.train import train_stage
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import PrepareSettings
from satsqueeze.distill.stage import LADDER, DistillSettings, read_ladder
from satsqueeze.export.settings import ExportSettings
from satsqueeze.plan.stage import PlanSettings
from satsqueeze.pretrain.teacher import TeacherPretraining


@dataclass(frozen=True, kw_only=True)
class SqueezeSettings:
    """Settings of all stages."""

    prepare: PrepareSettings
    """Data, bands and splits."""
    plan: PlanSettings = field(default_factory=PlanSettings)
    """Of the teacher."""
    pretrain: TeacherPretraining = field(default_factory=TeacherPretraining)
    """Of the teacher, without labels."""
    distill: DistillSettings = field(default_factory=DistillSettings)
    """Of the students."""
    export: ExportSettings = field(default_factory=ExportSettings)
    """Of the packages."""
    bench: PackageBench = field(default_factory=PackageBench)
    """Of the table and the report."""


@dataclass(frozen=True, kw_only=True)
class Squeezed:
    """Where a run has led."""

    rows: tuple[BenchRow, ...]
    package: Path
    report: Path


def squeeze(
    data: str,
    *,
    out: Path = DEFAULT_RUN,
    card: str | None = None,
    bands: list[str] | None = None,
    compression: float | None = None,
    budget: Path | None = None,
    students: list[str] | None = None,
    folds: int = 3,
    seed: int = 0,
    plan: PlanSettings = PlanSettings(),  # noqa: B008 - frozen, and shown as the default
    pretrain: TeacherPretraining = TeacherPretraining(),  # noqa: B008
    distill: DistillSettings = DistillSettings(),  # noqa: B008
    export: ExportSettings = ExportSettings(),  # noqa: B008
    bench: PackageBench = PackageBench(),  # noqa: B008
    json: bool = False,
) -> int:
    """Turn a labelled data set into a flight package and a report; stopped, the same command continues.

    The stages are fingerprint, plan, pretrain if asked for, train, distill, export, bench and report. Files that had to
    be left out are named on standard error, and in the report.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; created if absent.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names of the bands to use, in channel order; by default all that the sources share.
        compression: how many times fewer parameters than one network of the teacher the student has; by default 280.
        budget: YAML file of limits on the plan (parameters, macs_per_pixel, activation_bytes, train_minutes per fold)
            and, under student:, on the network that flies.
        students: rungs to train besides, such as unet-8 or lite-16.
        folds: folds of the teacher ensemble, by scene.
        seed: of splits and trainings.
        plan: settings of the planner.
        pretrain: settings of a pre-training of the teacher without labels, on all images but the test's.
        distill: settings of the students.
        export: settings of the export.
        bench: settings of the measurement.
        json: print the benchmark rows as JSON lines instead of a table.
    """
    require_one_seed(seed, {"--distill.fit.seed": distill.fit.seed, "--export.seed": export.seed})
    told = told_distillation(distill, compression=compression, students=students, budget=budget)
    settings = SqueezeSettings(
        prepare=PrepareSettings(data=data, card=card, bands=tuple(bands or ()), folds=folds, seed=seed),
        plan=told_plan(plan, budget=budget, seed=seed),
        pretrain=pretrain,
        distill=replace(told, fit=replace(told.fit, seed=seed)),
        export=replace(export, seed=seed),
        bench=bench,
    )
    show(squeeze_stages(settings, RunFolder(out)), RunFolder(out), json=json)
    return 0


def squeeze_stages(settings: SqueezeSettings, run: RunFolder) -> Squeezed:
    """Run every stage that is not done."""
    prepared = prepare_stage(settings.prepare, run)
    planned = plan_stage(settings.plan, run, prepared)
    planned_rungs(settings.distill, planned)
    train_stage(run, init=teacher_pretrain_stage(settings.pretrain, run, prepared, planned))
    distill_stage(run, settings.distill)
    package = export_stage(run, settings.export)
    rows = bench_stage(run, settings.bench)
    return Squeezed(rows=rows, package=package, report=report_stage(run))


def show(done: Squeezed, run: RunFolder, *, json: bool) -> None:
    """Print the summary."""
    if json:
        for row in done.rows:
            print(dumps(row.to_dict()))
    else:
        print_table(done.rows, read_ladder(run / LADDER))
        print(f"package: {done.package}")
        print(f"report:  {done.report}")
