"""Stages on a run folder: each is skipped when it finished before with the same settings and inputs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from satsqueeze.core.errors import RunError
from satsqueeze.core.run import RunFolder, plain
from satsqueeze.data.cache.packed import PackedCache

DEFAULT_RUN = Path("runs/latest")
PLAN, TEACHER, SOFT, STUDENTS, PACKAGES = "plan.json", "teacher", "soft", "students", "packages"
ROWS, REPORT = "bench.jsonl", "report.html"
CLASSIFIER = "classifier"
COMMAND_OF = {
    "class-data": "zoo train DATA --out",
    "classifier": "zoo train DATA --out",
    "data": "fingerprint DATA --out",
    "plan": "plan DATA --out",
    "pretrain": "pretrain DATA --out",
    "train": "train",
    "distill": "distill",
    "export": "export",
    "bench": "bench",
}
"""What makes the record of each stage."""
_ALONE = {
    "class-data": "is about a classifier, which 'satsqueeze zoo train' scores and 'satsqueeze export' packages",
    "series": "holds one network over dates, which 'satsqueeze train' scores and 'satsqueeze export' packages",
    "network": "holds one network, which 'satsqueeze train' scores and 'satsqueeze export' packages",
    "pretrain": "holds a pre-trained network, from which others start with --init",
}
"""What run folders without a plan hold, by a stage of theirs."""

console = Console(stderr=True, highlight=False)
"""For progress; results go to standard output."""


def open_run(path: Path) -> RunFolder:
    """A run folder that is there already.

    Raises:
        RunError: it is not, perhaps since it is data, or another version wrote it.
    """
    if not (path / "run.json").is_file():
        # What is there already may be the data, which cannot become their own run folder.
        data, out = (path, DEFAULT_RUN.with_name(f"{path.resolve().stem}-run")) if path.exists() else ("DATA", path)
        raise RunError(
            f"{path} is no run folder, expected one that 'satsqueeze squeeze' or 'satsqueeze plan' has made; make one "
            f"with 'satsqueeze plan {data} --out {out}' and name {out}"
        )
    return RunFolder(path)


def require(run: RunFolder, stage: str) -> dict[str, Any]:
    """The result of a stage that must have finished.

    Raises:
        RunError: it has not; the message names the command.
    """
    alone = next((told for name, told in _ALONE.items() if run.has(name)), "")
    if alone and stage not in (CLASSIFIER, *_ALONE) and not run.has("plan"):
        raise RunError(
            f"{run.path} {alone}; it has no plan, teacher or students. 'satsqueeze squeeze DATA --out FOLDER' makes "
            "these in another folder"
        )
    if not run.has(stage):
        raise RunError(
            f"{run.path}: the stage '{stage}' has not finished; run 'satsqueeze {COMMAND_OF[stage]} {run.path}' first"
        )
    return run.result(stage)


def require_unchanged(run: RunFolder, stage: str, **inputs: object) -> None:
    """Refuse what a finished stage made of other inputs than are there now.

    Args:
        run: where the stage is recorded.
        stage: its name.
        inputs: what is there now, by the names that its key has for it.

    Raises:
        RunError: something has changed; the message names it, and the command.
    """
    known = run.settings(stage)
    changed = [name for name, value in inputs.items() if known.get(name) != plain(value)]
    if changed:
        raise RunError(
            f"{run.path}: the stage '{stage}' finished before {' and '.join(changed)} changed; run 'satsqueeze "
            f"{COMMAND_OF[stage]} {run.path}' again, or the 'satsqueeze squeeze' that made it"
        )


def run_stage(
    run: RunFolder, name: str, key: object, work: Callable[[], Mapping[str, Any]], *, outputs: Iterable[str] = ()
) -> dict[str, Any]:
    """Do a stage unless it is done; returns its result.

    Args:
        run: where the stage is recorded.
        name: of the stage.
        key: settings and inputs; with another key the stage is done anew.
        work: does it and returns a JSON-ready result.
        outputs: files in the run folder that it leaves; without one of them it is done anew.
    """
    if run.is_done(name, key, outputs):
        console.print(f"[bold]{name:<8}[/] done before", style="dim")
        return run.result(name)
    started = time.monotonic()
    result = work()
    run.finish(name, key, result, time.monotonic() - started)
    console.print(f"[bold]{name:<8}[/] {run.seconds(name):6.1f} s")
    return run.result(name)


def tell_packed(cache: PackedCache) -> None:
    """Name on standard error what was left out of a cache, and sources whose files differ in their data type."""
    for entry in cache.quarantine:
        print(f"left out: {entry.id}: {entry.reason}", file=sys.stderr)
    for source, types in cache.mixed_types.items():
        print(
            f"images of '{source}' have different data types: {types}. Tags count for the file that has them, a stated "
            "scale for all files, whatever their type; write all with the same type and scale, unless that is meant: "
            "'satsqueeze data check' names one",
            file=sys.stderr,
        )
