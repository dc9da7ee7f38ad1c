"""``satsqueeze bench init-ablation``: what of pre-training matters."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.ablation import Ablation, Variant
from satsqueeze.bench.starts.ablation_figure import draw_ablation
from satsqueeze.bench.starts.ablation_recipe import AblationRecipe
from satsqueeze.bench.starts.ablation_table import ablation_table
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.stage import console
from satsqueeze.core.run import RunFolder


def init_ablation(
    recipe: Path, *, out: Path = Path("runs/init-ablation"), rows: Path | None = None, figure: Path | None = None
) -> int:
    """Change one thing of pre-training at a time and compare what networks make of it with few labels; resumable.

    Args:
        recipe: YAML file with the recipe of a comparison of starts, and the factors with their variants.
        out: run folder; created if absent.
        rows: JSON-lines file for the result, besides the one in the run folder.
        figure: PNG file with a panel per factor; init-ablation.png in the run folder by default.
    """
    told = read_settings(AblationRecipe, recipe)
    grid = recipe.parent / told.grid
    variants = [
        Variant(factor=factor.name, value=name, recipe=read_settings(InitRecipe, grid, told.changes, changes))
        for factor, name, changes in told.variants()
    ]
    reference = read_settings(InitRecipe, grid, told.changes)
    names = {factor.name: factor.reference for factor in told.factors}
    found = Ablation(reference, names, variants, RunFolder(out), say=console.print).execute()
    if rows is not None:
        write_rows(rows, found)
    draw_ablation(found, figure or out / "init-ablation.png")
    print(ablation_table(found))
    return 0
