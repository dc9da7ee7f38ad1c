"""``satsqueeze zoo grid``: students x ways of teaching x seeds."""

from __future__ import annotations

import sys
from pathlib import Path

from satsqueeze.bench.classes.grid import ClassGrid
from satsqueeze.bench.classes.recipe import ClassRecipe
from satsqueeze.bench.classes.row import GridRow, record_grid_rows
from satsqueeze.bench.classes.ship import rescore as rescore_package
from satsqueeze.bench.classes.ship import ship as ship_package
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.stage import console, tell_packed
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.run import RunFolder

_HEAD = (
    f"{'network':<20} {'way':<14} {'precision':<9} {'test':>16} {'validation':>10} {'seeds':>5}  against the baseline"
)


def grid(
    recipe: Path,
    *,
    out: Path = Path("runs/grid"),
    only: list[str] | None = None,
    rows: Path | None = None,
    ship: Path | None = None,
    rescore: Path | None = None,
    student: str = "",
    way: str = "",
) -> int:
    """Compare ways of teaching classifiers over students and seeds; resumable, and goes on past a training that fails.

    Args:
        recipe: YAML file with the data, the teachers, the students and the ways of teaching.
        out: run folder; created if absent.
        only: names of teachers, students or ways to train and score now; by default all.
        rows: JSON-lines file for the result, besides the one in the run folder; rows of other networks and ways in it
            stay.
        ship: instead, train the long run of one student in one way and write it as a flight package to this folder.
        rescore: instead, score a package once more that was shipped by this recipe and recorded in --rows, on the test
            images; nothing is trained.
        student: name of the student to ship or to score.
        way: name of the way in which it is taught.
    """
    if (ship is not None or rescore is not None) and not (student and way):
        raise SettingsError("--ship and --rescore need the --student and the --way of the package")
    if ship is None and rescore is None and (student or way):
        raise SettingsError("--student and --way go with --ship or --rescore; to train some parts only, name --only")
    if ship is not None and ship.is_file():
        raise SettingsError(f"--ship: {ship} is a file; name a folder")
    if rows is not None:
        GridRow.read(rows)  # before hours of training: a file of something else is not overwritten
    work = ClassGrid(read_settings(ClassRecipe, recipe), RunFolder(out), say=console.print)
    tell_packed(work.prepared.cache)
    if rescore is not None:
        if rows is None:
            raise SettingsError("--rescore needs the --rows in which the package was recorded")
        found = rescore_package(work, student, way, rescore, GridRow.read(rows))
    elif ship is not None:
        ship_package(work, student, way, ship)
        found = work.rows()
    else:
        found = work.execute(only or ())
    if rows is not None:
        record_grid_rows(rows, found)
    print("\n".join([_HEAD, *map(_line, found)]))
    if ship is not None:
        print(f"shipped {ship}")
    for title, reason in work.failures.items():
        print(f"failed: {title}: {reason}", file=sys.stderr)
    return 1 if work.failures else 0


def _line(row: GridRow) -> str:
    spread = row.test_spread.get("accuracy")
    score = f"{_percent(row.test['accuracy'])}{'' if spread is None else f' +- {100 * spread:.2f}'}"
    compared = "" if row.paired is None else f"{100 * row.paired.gain:+.2f} points, p = {row.paired.p:.2g}"
    return (
        f"{row.name:<20} {row.way or '-':<14} {row.precision:<9} {score:>16} "
        f"{_percent(row.validation.get('accuracy')):>10} {len(row.seeds):>5}  {compared}"
    ).rstrip()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
