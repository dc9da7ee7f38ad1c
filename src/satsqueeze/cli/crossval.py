"""``satsqueeze crossval``: cross-validate a recipe, and ship its best student."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.folds.crossval import Crossval
from satsqueeze.bench.folds.recipe import Recipe
from satsqueeze.bench.row_file import record_row
from satsqueeze.cli.flags import read_settings
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.run import RunFolder


def crossval(
    recipe: Path,
    *,
    out: Path = Path("runs/crossval"),
    only: list[str] | None = None,
    rows: Path | None = None,
    ship: Path | None = None,
    student: str = "",
) -> int:
    """Cross-validate threshold, baselines, teachers and students by scene; resumable at every training.

    Args:
        recipe: YAML file with the data, the folds and the networks.
        out: run folder; created if absent.
        only: names of the networks to train and score now; by default all.
        rows: JSON-lines file for the result, besides the one in the run folder; rows of other networks in it stay.
        ship: also train a student on all scenes and write it as a flight package to this folder.
        student: name of the student to ship.
    """
    if ship is not None and not student:
        raise SettingsError(f"--ship {ship} needs --student, the name of the network to ship")
    work = Crossval(read_settings(Recipe, recipe), RunFolder(out))
    found_rows = work.execute(only or ())
    if rows is not None:
        for row in found_rows:
            record_row(rows, row)
    for row in found_rows:
        found = row.scores[0]
        spread = "" if found.spread is None else f" +- {found.spread:.3f}"
        jaccard = "undefined" if found.jaccard is None else f"{found.jaccard:.3f}{spread}"
        print(f"{row.name:<24} {row.precision:<5} Jaccard {jaccard}  ({found.images} images)")
    if ship is not None:
        work.ship(student, ship)
        print(f"shipped {ship}")
    return 0
