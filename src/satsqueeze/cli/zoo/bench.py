"""``satsqueeze zoo bench``: many classifiers under one budget."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path

from satsqueeze.bench.zoo.row import ZooRow, zoo_table
from satsqueeze.bench.zoo.sweep import SweepSettings, ZooSweep, failures
from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import console, tell_packed
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings, prepare_classes


def bench(  # noqa: PLR0917 - all but the data set are flags
    data: str,
    models: list[str] | None = None,
    out: Path = Path("runs/zoo"),
    card: str | None = None,
    bands: list[str] | None = None,
    split: str = "seeded",
    cache: Path | None = None,
    sweep: SweepSettings = SweepSettings(),  # noqa: B008 - frozen, and shown as the default
    json: bool = False,
) -> int:
    """Train and time many classifiers under the same budget; resumable, and goes on past a network that fails.

    Args:
        data: folder, zip file or YAML list of sources.
        models: names of the zoo joined by commas; by default all.
        out: run folder; rows stand in zoo.jsonl.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; by default all that the sources share.
        split: seeded (stratified by class), official (as the paths of the data set tell), a file with a split, or a
            folder of lists of names (train.csv, val.csv, test.csv, or the same as .txt), or a table of names and parts
            (.csv, or .parquet with pyarrow).
        cache: folder to pack the images to, shared by several runs; by default within the run.
        sweep: budget and settings.
        json: print the rows as JSON.
    """
    from dataclasses import replace

    settings = replace(sweep, models=tuple(models or sweep.models))
    run = RunFolder(out)
    prepare = ClassPrepareSettings(
        data=data, card=card, bands=tuple(bands or ()), split=split, cache="" if cache is None else str(cache)
    )
    with progress("packing") as advance:
        prepared = prepare_classes(prepare, run, advance)
    tell_packed(prepared.cache)
    rows = ZooSweep(prepared, settings, run.path).run(_report, lambda name: console.print(f"{name}: timed"))
    print(dumps([row.to_dict() for row in rows], indent=2) if json else zoo_table(rows))
    failed = failures(rows)
    for row in failed:
        print(f"failed: {row.model} (seed {row.seed}): {row.failure}", file=sys.stderr)
    return 1 if failed else 0


def _report(row: ZooRow) -> None:
    score = row.test if row.test is not None else row.validation
    done = "done" if score is None else f"{score:.4f}"
    console.print(f"{row.model} (seed {row.seed}): {f'failed: {row.failure}' if row.failure else done}")
