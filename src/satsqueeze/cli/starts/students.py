"""``satsqueeze bench init-students``: what pre-training and a teacher are worth to students of many sizes."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.students import StudentsRecipe, compare_students, draw_students, students_table
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.stage import console
from satsqueeze.core.run import RunFolder


def init_students(
    recipe: Path, *, out: Path = Path("runs/init-students"), rows: Path | None = None, figure: Path | None = None
) -> int:
    """Compare starts of students of many sizes, at one budget of training; resumable.

    Args:
        recipe: YAML file with the recipe of a comparison of starts, what differs from it, and the students.
        out: run folder; created if absent.
        rows: JSON-lines file for the result, besides those in the run folder.
        figure: PNG file for the curves; by default init-students.png in the run folder.
    """
    told = read_settings(StudentsRecipe, recipe)
    grid = read_settings(InitRecipe, recipe.parent / told.grid, told.changes)
    found = compare_students(grid, told.models, RunFolder(out), say=console.print)
    if rows is not None:
        write_rows(rows, found)
    draw_students(found, figure or out / "init-students.png")
    print(students_table(found))
    return 0
