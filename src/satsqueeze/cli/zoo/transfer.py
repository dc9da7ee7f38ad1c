"""``satsqueeze zoo transfer``: starting from another data set, with few labels."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.transfer.grid import TransferGrid
from satsqueeze.bench.transfer.recipe import TransferRecipe
from satsqueeze.bench.transfer.row import transfer_table
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.stage import console, tell_packed
from satsqueeze.core.run import RunFolder
from satsqueeze.nets.model import load_model, save_model


def transfer(
    recipe: Path, *, out: Path = Path("runs/transfer"), rows: Path | None = None, ship: Path | None = None
) -> int:
    """Compare starts over label fractions and seeds, each at the learning rate that suits it; resumable.

    Args:
        recipe: YAML file with the source, the target, the starts, the fractions, the seeds and the learning rates.
        out: run folder; created if absent.
        rows: JSON-lines file for the result, besides the one in the run folder.
        ship: also write the trained source to this folder, for --init of other trainings.
    """
    grid = TransferGrid(read_settings(TransferRecipe, recipe), RunFolder(out), say=console.print)
    tell_packed(grid.target.cache)
    if any(start.transferred for start in grid.recipe.starts):
        tell_packed(grid.source.cache)
    found = grid.execute()
    if ship is not None:
        save_model(load_model(grid.source_run[0]), ship)
    if rows is not None:
        write_rows(rows, found)
    print(transfer_table(found))
    return 0
