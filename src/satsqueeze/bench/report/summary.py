"""What a benchmark comes to, in a sentence and a handful of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from satsqueeze.bench.energy import Energy
from satsqueeze.bench.latency import Latency
from satsqueeze.bench.row import BenchRow
from satsqueeze.bench.tables import format_value


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the headline."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The chosen student beside its teacher."""

    student: BenchRow | None
    """Float where there is a choice."""
    student_int8: BenchRow | None
    teacher: BenchRow | None
    sentence: str
    figures: tuple[Figure, ...]


def summarise(rows: Sequence[BenchRow], chosen: str = "") -> Summary:
    """Find student and teacher, and say how they compare.

    Args:
        rows: of a benchmark.
        chosen: name of the student; by default the one with the best Jaccard.
    """
    students = [row for row in rows if row.kind == "student" and (not chosen or row.name == chosen)]
    student = _best([row for row in students if row.precision != "int8"] or students)
    int8 = next((r for r in students if student and (r.name, r.precision) == (student.name, "int8")), None)
    teacher = _best([row for row in rows if row.kind == "teacher"])
    return Summary(
        student=student,
        student_int8=int8,
        teacher=teacher,
        sentence=_sentence(student, int8, teacher),
        figures=tuple(_figures(student, int8, teacher)) if student else (),
    )


def fewer(small: BenchRow, large: BenchRow | None) -> float | None:
    """How many times fewer parameters ``small`` has."""
    return large.parameters / small.parameters if large and large.parameters and small.parameters else None


def difference(row: BenchRow, other: BenchRow | None) -> float | None:
    """By how much the Jaccard of ``row`` lies above the other's."""
    return row.jaccard - other.jaccard if other and row.jaccard is not None and other.jaccard is not None else None


def signed(value: float) -> str:
    """A difference of scores with its sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def threads_text(latency: Latency) -> str:
    """How many threads, in words; empty where the engine chose."""
    return f"{latency.threads} thread{'s' if latency.threads != 1 else ''}" if latency.threads else ""


def _best(rows: Sequence[BenchRow]) -> BenchRow | None:
    return max(rows, key=lambda row: -1.0 if row.jaccard is None else row.jaccard, default=None)


def _sentence(student: BenchRow | None, int8: BenchRow | None, teacher: BenchRow | None) -> str:
    if student is None or student.jaccard is None:
        return "No student has been scored yet."
    ratio, gap = fewer(student, teacher), difference(student, teacher)
    text = f"Student {student.name} reaches a Jaccard of {student.jaccard:.3f}"
    if gap is not None and teacher is not None:
        text += f", {abs(gap):.3f} {'below' if gap < 0 else 'above'} its teacher's {teacher.jaccard:.3f}"
    if ratio is not None:
        text += f", with {ratio:,.0f} times fewer parameters"
    if int8 is not None and int8.jaccard is not None:
        text += f"; in 8-bit integers it reaches {int8.jaccard:.3f}"
    return text + "."


def _figures(student: BenchRow, int8: BenchRow | None, teacher: BenchRow | None) -> list[Figure]:
    score, gap, ratio = (
        student.scores[0] if student.scores else None,
        difference(student, teacher),
        fewer(student, teacher),
    )
    figures = []
    if score is not None and score.jaccard is not None:
        spread = f"± {score.spread:.3f} over {score.seeds} seeds" if score.spread is not None else ""
        against = f"{signed(gap)} to the teacher" if gap is not None else ""
        figures.append(
            Figure(label="Jaccard", value=f"{score.jaccard:.3f}", note="\n".join(t for t in (against, spread) if t))
        )
    if student.parameters is not None:
        note = f"{ratio:,.0f} times fewer than the teacher" if ratio is not None else ""
        figures.append(Figure(label="Parameters", value=format_value(student.parameters, "count"), note=note))
    if student.macs_per_pixel is not None:
        note = f"at {student.macs_input}" if student.macs_input else ""
        value = format_value(student.macs_per_pixel, "count")
        figures.append(Figure(label="MACs per pixel", value=value, note=note))
    size = student.int8_bytes or student.fp32_bytes
    if size is not None:
        value, _, unit = format_value(size, "bytes").partition(" ")
        note = f"fp32 {format_value(student.fp32_bytes, 'bytes')}" if student.int8_bytes and student.fp32_bytes else ""
        label = "Graph, int8" if student.int8_bytes else "Graph, fp32"
        figures.append(Figure(label=label, value=value, unit=unit, note=note))
    return [*figures, *_speed_and_energy(int8 or student)]


def _speed_and_energy(row: BenchRow) -> list[Figure]:
    figures = []
    if row.latency is not None:
        note = ", ".join(text for text in (row.precision, row.latency.engine, threads_text(row.latency)) if text)
        value = f"{row.latency.mpixels_per_second:.3g}"
        figures.append(Figure(label="Throughput", value=value, unit="Mpx/s", note=note))
    if isinstance(row.energy, Energy):
        figures.append(Figure(label="Energy", value=f"{row.energy.joules:.3g}", unit="J/Mpx", note=row.energy.method))
    return figures
