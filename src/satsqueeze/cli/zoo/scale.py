"""``satsqueeze zoo scale``: a small search for the factors of compound scaling."""

from __future__ import annotations

import sys
from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.scaling.figure import draw_scaling
from satsqueeze.bench.scaling.row import Ranked, ScalingRow, ranked
from satsqueeze.bench.scaling.search import ScalingSearch
from satsqueeze.bench.scaling.settings import ScalingSettings
from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import console, tell_packed
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings, prepare_classes
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling

_HEAD = (
    f"{'depth':>6} {'width':>6} {'side':>6}  {'blocks':<9} {'channels':<12} {'px':>3} {'parameters':>10} {'MACs':>8} "
    f"{'validation':>16} {'seeds':>5}"
)


def scale(  # noqa: PLR0917 - all but the data set are flags
    data: str,
    out: Path = Path("runs/scale"),
    card: str | None = None,
    bands: list[str] | None = None,
    split: str = "seeded",
    cache: Path | None = None,
    rows: Path | None = None,
    figure: Path | None = None,
    search: ScalingSettings = ScalingSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Search how a growing cost is best shared among depth, width and resolution of WRN-ECA; resumable.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; rows stand in scaling.jsonl.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; by default all that the sources share.
        split: seeded (stratified by class), official (as the paths of the data set tell), a file with a split, or a
            folder of lists of names (train.csv, val.csv, test.csv, or the same as .txt), or a table of names and parts
            (.csv, or .parquet with pyarrow). Validation images decide, test images are not used.
        cache: folder to pack the images to, shared by several runs; by default within the run.
        rows: JSON-lines file for the result, besides the one in the run folder.
        figure: PNG file for the scores by depth and resolution; by default scaling.png in the run folder.
        search: what to try, and the budget of each trial.
    """
    run = RunFolder(out)
    prepare = ClassPrepareSettings(
        data=data, card=card, bands=tuple(bands or ()), split=split, cache="" if cache is None else str(cache)
    )
    with progress("packing") as advance:
        prepared = prepare_classes(prepare, run, advance)
    tell_packed(prepared.cache)
    trials = ScalingSearch(prepared, search, run.path).run(_report)
    if rows is not None:
        write_rows(rows, trials)
    found = ranked(trials)
    print("\n".join([_HEAD, *map(_line, found)]))
    if found:
        draw_scaling(trials, figure or run.path / "scaling.png")
        print(f"the best rule at {SCALING.cost:.3g} times the cost per step: {_rule(found[0].scaling)}")
        print(f"the shipped rule:                            {_rule(SCALING)}")
    failed = [row for row in trials if row.failure]
    for row in failed:
        print(f"failed: {row.scaling} (seed {row.seed}): {row.failure}", file=sys.stderr)
    return 1 if failed else 0


def _report(row: ScalingRow) -> None:
    score = row.failure or ("done" if row.validation is None else f"{row.validation:.4f}")
    console.print(f"blocks {row.blocks}, channels {row.widths}, {row.side} px, seed {row.seed}: {score}", markup=False)


def _line(one: Ranked) -> str:
    row, rule = one.row, one.scaling
    blocks, channels = ("-".join(map(str, values)) for values in (row.blocks, row.widths))
    score = f"{one.score:.4f}" + ("" if one.spread is None else f" +- {one.spread:.4f}")
    return (
        f"{rule.depth:>6.3f} {rule.width:>6.3f} {rule.resolution:>6.3f}  {blocks:<9} {channels:<12} {row.side:>3} "
        f"{row.parameters:>10,} {(row.macs or 0) / 1e6:>6.1f} M {score:>16} {one.seeds:>5}"
    )


def _rule(scaling: CompoundScaling) -> str:
    step = scaling.at_cost(SCALING.cost)
    return f"depth {step.depth:.3f}, width {step.width:.3f}, resolution {step.resolution:.3f}"
