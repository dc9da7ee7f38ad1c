"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satsqueeze import __version__
from satsqueeze.bench.drawing.figures import COSTS, Curve, curve_plot, pareto_plot
from satsqueeze.bench.drawing.pictures import AGREEMENT, Panel, panel_pictures
from satsqueeze.bench.report.comparison import cost_table, source_tables
from satsqueeze.bench.report.pretraining import PretrainingView, curves_svg, embedding_uris
from satsqueeze.bench.report.summary import summarise
from satsqueeze.bench.row import KINDS, BenchRow
from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.core.files import write_text
from satsqueeze.core.labels import CLOUD_CLASSES, CLOUD_FOREGROUND
from satsqueeze.flight.outputs.palette import class_colours

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What a report tells; parts that are empty are left out."""

    title: str
    subtitle: str = ""
    rows: Sequence[BenchRow] = ()
    """In the order in which they are to stand."""
    chosen: str = ""
    """Name of the student that is shipped; by default the one with the best Jaccard."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Rows of ``history.csv`` by model, such as ``teacher/fold_0`` or ``students/unet-8``; one plot per first part."""
    pretraining: PretrainingView | None = None
    panels: Sequence[Panel] = ()
    classes: Sequence[str] = CLOUD_CLASSES
    """Of the panels' masks."""
    foreground: Sequence[int] = CLOUD_FOREGROUND
    decisions: Sequence[Mapping[str, Any]] = ()
    """Each with ``rule`` and ``reason``."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """The content of ``parity.json``."""
    protocols: Mapping[str, str] = field(default_factory=dict)
    """Each protocol of the scores in a sentence."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Settings, splits, versions, machine: any nesting of mappings and lists."""
    notes: Sequence[str] = ()
    """What a reader should know: misses, assumptions, files left out."""
    made: str = ""
    """When, as text; empty keeps the file the same for the same inputs."""


def write_report(inputs: ReportInputs, path: Path) -> Path:
    """Write the report, whole or not at all; returns ``path``.

    Raises:
        MissingDependencyError: Jinja2 or matplotlib is not installed.
        RunError: the file cannot be written.
    """
    write_text(path, render_report(inputs))
    return path


def render_report(inputs: ReportInputs) -> str:
    """The report as HTML text."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError("jinja2", "train") from error

    summary = summarise(inputs.rows, inputs.chosen)
    chosen = summary.student.name if summary.student else ""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["mapping_list"] = _is_mapping_list
    environment.filters["figure"] = _figure
    return environment.get_template("report.html.j2").render(
        inputs=inputs,
        summary=summary,
        comparison=cost_table(inputs.rows, summary),
        sources=source_tables(inputs.rows, summary),
        plots=[plot for plot in (pareto_plot(inputs.rows, cost, chosen=chosen) for cost in COSTS) if plot],
        kinds=[kind for kind in KINDS if any(row.kind == kind for row in inputs.rows)],
        curves=_curve_plots(inputs.curves),
        pretraining=_pretraining(inputs.pretraining),
        panels=[(panel, panel_pictures(panel, inputs.classes, inputs.foreground)) for panel in inputs.panels],
        legend=_legend(inputs),
        agreement=[(name, _css(colour)) for name, colour in AGREEMENT.items()],
        version=__version__,
    )


def _curve_plots(curves: Mapping[str, Curve]) -> list[tuple[str, list[str], str]]:
    groups: dict[str, dict[str, Curve]] = {}
    for name, rows in curves.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest or name] = rows
    plots = [(group, list(members), curve_plot(members)) for group, members in groups.items()]
    return [entry for entry in plots if entry[2]]


def _pretraining(view: PretrainingView | None) -> dict[str, Any]:
    if view is None:
        return {}
    shares = {"random": view.embedding.before, "learnt": view.embedding.after}
    legend = zip(view.classes, map(_css, class_colours(view.classes)), strict=True)
    return {
        "images": view.images,
        "curves": curves_svg(view.history),
        "shares": shares,
        "panels": embedding_uris(view),
        "legend": list(legend) if any(panel.label is not None for panel in view.embedding.panels) else [],
    }


def _legend(inputs: ReportInputs) -> list[tuple[str, str]]:
    return [(n, _css(c)) for n, c in zip(inputs.classes, class_colours(inputs.classes), strict=True)]


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]} {colour[1]} {colour[2]})"


def _is_mapping_list(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _figure(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int) and abs(value) > 9999:
        return f"{value:,}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
