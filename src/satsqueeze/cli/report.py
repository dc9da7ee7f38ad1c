"""``satsqueeze report``: the HTML page of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from satsqueeze.bench.history import find_histories
from satsqueeze.bench.machine import installed_versions
from satsqueeze.bench.report.page import ReportInputs, write_report
from satsqueeze.bench.report.pretraining import PretrainingView
from satsqueeze.bench.row import BenchRow
from satsqueeze.cli.bench import models_of
from satsqueeze.cli.embedding import pretraining_view
from satsqueeze.cli.panels import worst_and_best
from satsqueeze.cli.scores import TEST, protocol
from satsqueeze.cli.stage import (
    COMMAND_OF,
    PACKAGES,
    PLAN,
    REPORT,
    ROWS,
    TEACHER,
    console,
    open_run,
    require,
    require_unchanged,
)
from satsqueeze.core.files import read_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.distill.ladder import Rung
from satsqueeze.distill.stage import LADDER, read_ladder

_LISTED = 10


def report(run: Path) -> int:
    """Write the HTML report of a run.

    Args:
        run: run folder with benchmark rows.
    """
    print(report_stage(open_run(run)))
    return 0


def report_stage(run: RunFolder) -> Path:
    """Write ``report.html``; returns its path.

    Raises:
        RunError: the models have not been measured, or were before they changed.
    """
    require(run, "bench")
    require_unchanged(run, "bench", **models_of(run))
    prepared = load_prepared(run)
    rungs, chosen = read_ladder(run / LADDER)
    plan = read_json(run / PLAN)
    rung = next(rung for rung in rungs if rung.name == chosen)
    inputs = ReportInputs(
        title=f"{', '.join(sorted({entry.source for entry in prepared.cache.entries}))}, squeezed",
        subtitle=f"It has {rung.compression:,.0f} times fewer parameters than one network of the teacher.",
        rows=BenchRow.read(run / ROWS),
        chosen=chosen,
        curves=_curves(run, rungs),
        pretraining=_pretraining(run, prepared),
        panels=worst_and_best(run, prepared, chosen),
        classes=prepared.cache.classes,
        foreground=prepared.cache.foreground,
        decisions=plan["decisions"],
        parity=read_json(run / f"{PACKAGES}/{chosen}/parity.json"),
        protocols={TEST: protocol(prepared)},
        provenance=_provenance(run, prepared, plan),
        notes=_notes(run, prepared),
    )
    path = write_report(inputs, run / REPORT)
    console.print(f"[bold]{'report':<8}[/] {path}")
    return path


def _curves(run: RunFolder, rungs: Sequence[Rung]) -> dict[str, list[dict[str, float | None]]]:
    """Of the teacher and the students on the ladder; those of others are kept, but no part of the run any more."""
    students = {rung.folder for rung in rungs}
    found = find_histories(run.path)
    return {place: rows for place, rows in found.items() if place.startswith(f"{TEACHER}/") or place in students}


def _pretraining(run: RunFolder, prepared: Prepared) -> PretrainingView | None:
    """None where the teacher started from its seed."""
    if not run.has("pretrain"):
        return None
    return pretraining_view(run, prepared.cache, prepared.folds[0].validation)


def _provenance(run: RunFolder, prepared: Prepared, plan: Mapping[str, Any]) -> dict[str, Any]:
    done = [stage for stage in COMMAND_OF if run.has(stage)]
    return {
        "data": {
            **run.settings("data"),
            "images": len(prepared.cache.entries),
            "kept_for_the_test": len(prepared.test),
            "folds": [{"train": len(s.train), "validation": len(s.validation)} for s in prepared.folds],
            "radiometry": sorted({entry.provenance for entry in prepared.cache.entries})[:_LISTED],
        },
        **({"pretraining": run.settings("pretrain")["fit"]} if "pretrain" in done else {}),
        "teacher": plan["fit"],
        "distillation": {
            **run.settings("distill")["distill"],
            "taught_by": run.result("distill")["teachers"],
        },
        "seconds_by_stage": {stage: run.seconds(stage) for stage in done},
        "versions": installed_versions(),
    }


def _notes(run: RunFolder, prepared: Prepared) -> Sequence[str]:
    left_out = prepared.cache.quarantine
    notes = [f"left out: {entry.id}: {entry.reason}" for entry in left_out[:_LISTED]]
    if len(left_out) > _LISTED:
        notes.append(f"{len(left_out) - _LISTED} more images were left out; cache.json lists them")
    notes += [f"no package of student {name}: {why}" for name, why in require(run, "export")["left_out"].items()]
    return notes
