"""Rows of a benchmark as cells of the report's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.report.summary import Summary, difference, fewer, signed, threads_text
from satsqueeze.bench.row import ALL_SOURCES, BenchRow, Kind, Score
from satsqueeze.bench.tables import ABSENT, format_value


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in a table."""

    text: str = ABSENT
    note: str = ""
    hint: str = ""
    """Shown when pointed at."""
    share: float | None = None
    """Of a bar behind the text, 0 to 1."""
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model."""

    name: str
    kind: Kind
    precision: str
    is_chosen: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table of models."""

    titles: tuple[tuple[str, str], ...]
    """Of each column, with its unit."""
    lines: tuple[Line, ...]
    footnotes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Column:
    title: str
    unit: str
    cell: Callable[[BenchRow], Cell]


def cost_table(rows: Sequence[BenchRow], summary: Summary) -> Comparison:
    """Quality against cost, one line per model and precision; columns that nobody fills are left out."""
    columns = (
        _Column(title="Jaccard", unit="", cell=lambda row: _score_cell(row.scores[0]) if row.scores else Cell()),
        _Column(title="To teacher", unit="", cell=lambda row: _difference_cell(row, summary.teacher)),
        _Column(title="Parameters", unit="", cell=lambda row: _parameters_cell(row, summary.teacher)),
        _Column(title="MACs", unit="per pixel", cell=lambda row: _count_cell(row.macs_per_pixel)),
        _Column(title="Size", unit="of the graph", cell=_size_cell),
        _Column(title="Activations", unit="peak", cell=lambda row: _bytes_cell(row.peak_activation_bytes)),
        _Column(title="Latency, p50 / p95", unit="s per megapixel", cell=_latency_cell),
        _Column(title="Energy", unit="J per megapixel", cell=_energy_cell),
        _Column(title="Training", unit="minutes", cell=lambda row: _minutes_cell(row.train_minutes)),
    )
    return replace(_table(rows, columns, summary), footnotes=tuple(_footnotes(rows)))


def source_tables(rows: Sequence[BenchRow], summary: Summary) -> dict[str, Comparison]:
    """Jaccard by source of images, one table per protocol that knows more than one source."""
    protocols = list(dict.fromkeys(score.protocol for row in rows for score in row.scores))
    tables = {}
    for protocol in protocols:
        scored = [row for row in rows if any(score.protocol == protocol for score in row.scores)]
        found = [score.source for row in scored for score in row.scores if score.protocol == protocol]
        sources = sorted(dict.fromkeys(found), key=lambda source: source != ALL_SOURCES)
        if len(sources) > 1:
            columns = [_source_column(protocol, source, scored) for source in sources]
            tables[protocol] = _table(scored, columns, summary)
    return tables


def _source_column(protocol: str, source: str, rows: Sequence[BenchRow]) -> _Column:
    scores = {row.key: row.score(protocol, source) for row in rows}
    values = [score.jaccard for score in scores.values() if score and score.jaccard is not None]
    images = next((score.images for score in scores.values() if score and score.images), None)
    best = max(values, default=None)

    def cell(row: BenchRow) -> Cell:
        score = scores[row.key]
        return _score_cell(score, is_best=score.jaccard == best) if score and score.jaccard is not None else Cell()

    return _Column(title=source, unit=f"{images} images" if images else "", cell=cell)


def _table(rows: Sequence[BenchRow], columns: Sequence[_Column], summary: Summary) -> Comparison:
    cells = [[column.cell(row) for column in columns] for row in rows]
    kept = [i for i in range(len(columns)) if any(line[i].text != ABSENT for line in cells)]
    chosen = summary.student.name if summary.student else None
    return Comparison(
        titles=tuple((columns[i].title, columns[i].unit) for i in kept),
        lines=tuple(
            Line(
                name=row.name,
                kind=row.kind,
                precision=row.precision,
                is_chosen=row.name == chosen,
                cells=tuple(line[i] for i in kept),
            )
            for row, line in zip(rows, cells, strict=True)
        ),
    )


def _score_cell(score: Score, *, is_best: bool = False) -> Cell:
    if score.jaccard is None:
        return Cell(text="undefined", note="no foreground")
    spread = f"± {score.spread:.3f}" if score.spread is not None else ""
    return Cell(text=f"{score.jaccard:.3f}", note=spread, share=min(1.0, max(0.0, score.jaccard)), is_best=is_best)


def _difference_cell(row: BenchRow, teacher: BenchRow | None) -> Cell:
    gap = difference(row, teacher)
    return Cell() if gap is None or row is teacher else Cell(text=signed(gap))


def _parameters_cell(row: BenchRow, teacher: BenchRow | None) -> Cell:
    ratio = fewer(row, teacher)
    note = f"{ratio:,.0f} times fewer" if ratio is not None and ratio >= 1.5 else ""
    return Cell(text=f"{row.parameters:,}", note=note) if row.parameters is not None else Cell()


def _count_cell(value: float | None) -> Cell:
    return Cell(text=format_value(value, "count")) if value is not None else Cell()


def _bytes_cell(value: int | None) -> Cell:
    return Cell(text=format_value(value, "bytes")) if value is not None else Cell()


def _size_cell(row: BenchRow) -> Cell:
    return _bytes_cell(row.int8_bytes if row.precision == "int8" else row.fp32_bytes)


def _latency_cell(row: BenchRow) -> Cell:
    found = row.latency
    if found is None:
        return Cell()
    note = ", ".join(text for text in (found.engine, threads_text(found)) if text)
    return Cell(text=f"{found.p50_s_per_mpixel:.2g} / {found.p95_s_per_mpixel:.2g}", note=note)


def _energy_cell(row: BenchRow) -> Cell:
    if isinstance(row.energy, Energy):
        return Cell(text=f"{row.energy.joules:.3g}", hint=f"{row.energy.domain}, {row.energy.method}")
    return Cell(text="not measured", hint=row.energy.reason) if row.latency is not None else Cell()


def _minutes_cell(value: float | None) -> Cell:
    return Cell(text=f"{value:.3g}" if value < 100 else f"{value:,.0f}") if value is not None else Cell()


def _footnotes(rows: Sequence[BenchRow]) -> Iterator[str]:
    seeds = sorted({score.seeds for row in rows for score in row.scores if score.spread is not None})
    if seeds:
        yield f"± is the standard deviation over {' or '.join(map(str, seeds))} trainings with different seeds."
    sizes = sorted({row.macs_input for row in rows if row.macs_input})
    if sizes:
        yield f"MACs and peak activations (float32) at an input of {' or '.join(sizes)} px."
    timed = sorted({f"{row.latency.height}x{row.latency.width}" for row in rows if row.latency})
    if timed:
        yield f"Latency of images of {' or '.join(timed)} px, one at a time."
    measured = sorted({f"{row.energy.domain}, {row.energy.method}" for row in rows if isinstance(row.energy, Energy)})
    if measured:
        yield f"Energy: {'; '.join(measured)}."
    reasons = sorted({row.energy.reason for row in rows if row.latency and isinstance(row.energy, NotMeasured)})
    yield from (f"Energy not measured: {reason}." for reason in reasons)
