"""``satsqueeze bench init-grid``: what pre-training is worth with few labels."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.figure import draw_curves
from satsqueeze.bench.starts.grid import InitGrid
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.table import class_table, init_table
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.stage import console
from satsqueeze.core.run import RunFolder


def init_grid(
    recipe: Path, *, out: Path = Path("runs/init-grid"), rows: Path | None = None, figure: Path | None = None
) -> int:
    """Compare starts over targets, label fractions and seeds, each at the learning rate that suits it; resumable.

    Args:
        recipe: YAML file with the regions, the starts, the fractions, the seeds, the learning rates and the budgets.
        out: run folder; created if absent.
        rows: JSON-lines file for the result, besides the one in the run folder.
        figure: PNG file for the curves; by default init-grid.png in the run folder.
    """
    told = read_settings(InitRecipe, recipe)
    found = InitGrid(told, RunFolder(out), say=console.print).execute()
    if rows is not None:
        write_rows(rows, found)
    draw_curves(found, figure or out / "init-grid.png")
    print(init_table(found))
    print()
    print(class_table(found, fraction=min(told.fractions)))
    return 0
