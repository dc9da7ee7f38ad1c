"""How a pre-training went: its curves, and what the features look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from satsqueeze.bench.drawing.canvas import new_figure, write_png
from satsqueeze.bench.drawing.curves import HEIGHT, WIDTH, curve_panels, write_curves
from satsqueeze.bench.drawing.figures import SERIES, Curve, render
from satsqueeze.bench.drawing.pictures import mask_uri, photo_uri, png_uri
from satsqueeze.bench.report.embedding import Embedding
from satsqueeze.core.errors import DataError
from satsqueeze.core.labels import IGNORE
from satsqueeze.flight.outputs.palette import NODATA_COLOUR, class_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMBEDDING_FILE = "embedding.png"
PANELS = {
    "Loss": {"loss": "loss"},
    "Alignment": {"alignment": "alignment"},
    "Uniformity": {"uniformity": "uniformity"},
    "Told from frozen features": {"knn": "10 neighbours", "probe": "linear probe"},
}
"""Names of columns of ``history.csv`` by the title of their plot."""
_COLOURS = ("#3d55c4", "#0b8f72")
_MUTED, _LINE = "#626973", "#c9cbc8"
_DPI = 110


@dataclass(frozen=True, kw_only=True)
class PretrainingView:
    """What a report tells of a pre-training."""

    history: Curve
    """Rows of its ``history.csv``."""
    images: int
    """From which it learnt."""
    embedding: Embedding
    classes: Sequence[str]
    """Of the labels in the pictures."""


def curves_svg(history: Curve) -> str:
    """Loss, alignment, uniformity, and what frozen features tell, by epoch; empty without any."""
    panels = curve_panels(history, PANELS, SERIES)
    return render("pretraining", panels, width=WIDTH, height=HEIGHT) if panels else ""


def draw_curves(history: Curve, path: Path) -> None:
    """Write the same as PNG.

    Raises:
        DataError: the history has none of the columns.
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    panels = curve_panels(history, PANELS, _COLOURS)
    if not panels:
        raise DataError(f"the history of {len(history)} epochs tells nothing of a pre-training; pre-train anew")
    write_curves(panels, path)


def draw_embedding(found: Embedding, path: Path, *, classes: Sequence[str]) -> None:
    """Write a row per image as PNG: true colour, features as drawn by the seed, features learnt, and the label.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    labelled = any(panel.label is not None for panel in found.panels)
    shares = (("random", found.before), ("learnt", found.after))
    titles = ["image", *(f"{which} features\n{share:.0%} of variance" for which, share in shares)]
    titles += ["label"] if labelled else []
    colours = [*class_colours(classes), *[NODATA_COLOUR] * (IGNORE + 1 - len(classes))]
    figure = new_figure(2.2 * len(titles), 2.3 * len(found.panels) + 0.4)
    grid = figure.subplots(len(found.panels), len(titles), squeeze=False)
    for row, panel in zip(grid, found.panels, strict=True):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(_LINE)
        for axes, picture in zip(row, (panel.image, panel.before, panel.after), strict=False):
            axes.imshow(picture, interpolation="nearest")
        if panel.label is not None:
            row[3].imshow([[colours[value] for value in line] for line in panel.label], interpolation="nearest")
        row[0].text(0, -0.02, panel.name, transform=row[0].transAxes, va="top", fontsize=7, color=_MUTED)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9)
    if labelled:
        _name_classes(figure, classes)
    write_png(figure, path, dpi=_DPI)


def embedding_uris(view: PretrainingView) -> list[tuple[str, list[tuple[str, str]]]]:
    """Names of the images, each with titles and data URIs of its pictures."""
    shown = []
    for panel in view.embedding.panels:
        pictures = [
            ("image", photo_uri(panel.image)),
            ("random features", png_uri(panel.before)),
            ("learnt features", png_uri(panel.after)),
        ]
        if panel.label is not None:
            pictures.append(("label", mask_uri(panel.label, view.classes)))
        shown.append((panel.name, pictures))
    return shown


def _name_classes(figure: Figure, classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    colours = [(red / 255, green / 255, blue / 255) for red, green, blue in class_colours(classes)]
    patches = [Patch(facecolor=colour, edgecolor=_LINE) for colour in colours]
    figure.legend(patches, classes, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
