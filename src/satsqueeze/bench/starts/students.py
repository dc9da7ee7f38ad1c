"""Starts of students of many sizes: what pre-training and a teacher are worth to small ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.starts.figure import COLOURS, MARKERS
from satsqueeze.bench.starts.grid import InitGrid
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.bench.starts.seed_estimate import estimate
from satsqueeze.bench.starts.table import labels_cell, start_cell
from satsqueeze.core.errors import DataError, SettingsError
from satsqueeze.core.run import RunFolder


@dataclass(frozen=True, kw_only=True)
class StudentsRecipe:
    """A comparison of starts for each of several students.

    Raises:
        SettingsError: no student, or one twice.
    """

    grid: Path
    """Recipe of the comparison of starts, beside this file."""
    changes: dict[str, Any] = field(default_factory=dict)
    """What is said otherwise than in that recipe, merged over it."""
    models: tuple[str, ...]
    """Rungs of the ladder of students, from small to large."""

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) < len(self.models):
            raise SettingsError(f"a comparison of students needs different models, at least one; got {self.models}")


def compare_students(
    recipe: InitRecipe, models: Sequence[str], run: RunFolder, say: Callable[[str], None] = print
) -> tuple[InitRow, ...]:
    """Make the comparison for each model, all with one set of images and one teacher; resumable.

    Raises:
        SplitError, DataError, RunError: see :meth:`satsqueeze.bench.starts.grid.InitGrid.execute`.
    """
    rows: list[InitRow] = []
    # All are made first, so that one which cannot be is refused before the others have trained.
    for each in [replace(recipe, model=model) for model in models]:
        say(each.model)
        place = RunFolder(run / f"students/{each.model}")
        shared = {"regions": run / "regions", "teachers": run / "teachers"}
        rows += InitGrid(each, place, say, **shared).execute()
    return tuple(rows)


def students_table(rows: Sequence[InitRow]) -> str:
    """Test mIoU as Markdown, a line per model, target and share: mean over seeds, gain over random and its paired p."""
    starts = tuple(dict.fromkeys(row.start for row in rows))
    lines = []
    for model, target, fraction in dict.fromkeys((row.model, row.target, row.fraction) for row in rows):
        alike = [row for row in rows if (row.model, row.target, row.fraction) == (model, target, fraction)]
        size = f"{alike[0].parameters:,}" if alike[0].parameters else "-"
        lines.append((model, size, target, labels_cell(alike[0]), *(start_cell(alike, start) for start in starts)))
    return markdown(("student", "parameters", "target", "labels", *starts), lines)


def draw_students(rows: Sequence[InitRow], path: Path) -> None:
    """Write mIoU by parameters as PNG: a line and confidence band per start, a panel per target and share of labels.

    Raises:
        DataError: no row whose parameters are known.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    rows = [row for row in rows if row.parameters]
    if not rows:
        raise DataError("there is nothing to draw; run the comparison first")
    panels = tuple(dict.fromkeys((row.target, row.fraction) for row in rows))
    figure = new_figure(4.6 * len(panels), 3.6)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        mine = [row for row in rows if (row.target, row.fraction) == panel]
        for number, start in enumerate(dict.fromkeys(row.start for row in mine)):
            sizes = sorted({row.parameters or 0 for row in mine if row.start == start})
            found = [estimate([row.test for row in mine if (row.start, row.parameters) == (start, s)]) for s in sizes]
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            axes.plot(sizes, [100 * f.mean for f in found], color=colour, marker=marker, ms=4, lw=1.6, label=start)
            low, high = ([100 * getattr(f, end) for f in found] for end in ("low", "high"))
            axes.fill_between(sizes, low, high, color=colour, alpha=0.12, lw=0)
        axes.set_xscale("log")
        axes.set_title(f"{panel[0]}, {100 * panel[1]:g} % of labels", loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("parameters")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("mIoU on test, %")
    figure.axes[0].legend(frameon=False, fontsize=9)
    write_png(figure, path)
