"""Tables of documents, made from committed result files between two markers.

``<!-- table:NAME -->`` and ``<!-- /table -->`` enclose a table that ``docs/results/tables.yaml`` describes under NAME:
the result file beside it (JSON lines, or JSON with a list, reached by ``rows``), and the columns. ``where`` takes only
rows with the stated values, ``by`` makes one row of those that agree in a value, or in each of a list of values, with
all of them as its list ``rows``. ``beside: {NAME: {file, rows, by}}`` puts the first row of another file that agrees in
the value at ``by`` into each row, as NAME. In place of columns, ``table`` names one that an experiment makes of its own
rows: comparisons of starts by ``labels`` or of ``classes``, a ``transfer``, ``students`` of many sizes, an ``ablation``
of pre-training, the trials of a ``scaling`` rule, or ``robust twins``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.robustness.row import RobustnessRow
from satsqueeze.bench.robustness.twins import twins_table
from satsqueeze.bench.row_file import Row
from satsqueeze.bench.scaling.figure import scaling_table
from satsqueeze.bench.scaling.row import ScalingRow
from satsqueeze.bench.starts.ablation_row import AblationRow
from satsqueeze.bench.starts.ablation_table import ablation_table
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.bench.starts.students import students_table
from satsqueeze.bench.starts.table import class_table, init_table
from satsqueeze.bench.transfer.row import TransferRow, transfer_table
from satsqueeze.core.errors import RunError, SettingsError
from satsqueeze.core.yaml_text import parse_yaml

AnyRow = TypeVar("AnyRow", bound=Row)

_BLOCK = re.compile(r"(<!-- table:([\w.-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
_OPENING = re.compile(r"<!-- table:([\w.-]+) -->")
_PART = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
ABSENT = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    value: str
    """Where the value stands in a row: keys and positions joined by dots, such as ``latency.p50_s_per_mpixel``; a part
    such as ``scores[source=all].jaccard`` takes the first entry of a list with that value."""
    format: str = ""
    """Format specification such as ``.3f`` or ``,``; ``bytes``, ``count`` and ``percent`` are written short."""
    spread: str = ""
    """Where the value's spread stands, which follows it after a plus-minus sign if it is known."""


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """A Markdown table with one line per row; absent values are a dash. Numbers are aligned right.

    Raises:
        SettingsError: no column, or a format that does not fit a value.
    """
    if not columns:
        raise SettingsError("a table needs at least one column")
    found = [[lookup(row, column.value) for column in columns] for row in rows]
    spreads = [[lookup(row, column.spread) if column.spread else None for column in columns] for row in rows]
    numeric = [i for i in range(len(columns)) if all(isinstance(line[i], int | float | None) for line in found)]
    texts = [
        [_with_spread(v, spread, column.format) for v, spread, column in zip(line, beside, columns, strict=True)]
        for line, beside in zip(found, spreads, strict=True)
    ]
    return markdown([column.title for column in columns], texts, right=numeric if rows else ()) + "\n"


def select(
    records: Sequence[Mapping[str, Any]], *, where: Mapping[str, Any] | None = None, by: str | Sequence[str] = ""
) -> list[Mapping[str, Any]]:
    """Rows with the values of ``where``; those with the same value at ``by`` as one, with all of them as ``rows``.

    Args:
        records: rows in order.
        where: value by path (see :class:`Column`).
        by: a path, or several; empty to leave the rows as they are.
    """
    kept = [record for record in records if all(lookup(record, path) == v for path, v in (where or {}).items())]
    if not by:
        return kept
    paths = [by] if isinstance(by, str) else by
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for record in kept:
        groups.setdefault(tuple(lookup(record, path) for path in paths), []).append(record)
    return [{**group[0], "rows": group} for group in groups.values()]


def put_beside(
    records: Sequence[Mapping[str, Any]], name: str, others: Sequence[Mapping[str, Any]], *, by: str
) -> list[Mapping[str, Any]]:
    """Each row with the first of ``others`` that has the same value at the path ``by``, as ``name``."""
    first = {lookup(other, by): other for other in reversed(others)}
    return [{**record, name: first.get(lookup(record, by))} for record in records]


def lookup(record: Any, path: str) -> Any:
    """The value at a dotted path (see :class:`Column`), None where there is none."""
    for match in _PART.finditer(path):
        selector, name = match.groups()
        if selector is not None:
            key, _, wanted = selector.partition("=")
            entries = record if isinstance(record, list | tuple) else ()
            record = next((e for e in entries if isinstance(e, Mapping) and str(e.get(key)) == wanted), None)
        elif isinstance(record, list | tuple):
            record = record[int(name)] if name.lstrip("-").isdigit() and int(name) < len(record) else None
        else:
            record = record.get(name) if isinstance(record, Mapping) else None
    return record


def format_value(value: Any, specification: str = "") -> str:
    """A value as a reader wants it.

    Raises:
        SettingsError: the specification does not fit the value.
    """
    if value is None:
        return ABSENT
    if isinstance(value, str | bool | Mapping | list | tuple):
        return str(value)
    try:
        if specification == "bytes":
            return _scaled(value, ("B", "kB", "MB", "GB"))
        if specification == "count":
            return _scaled(value, ("", "k", "M", "G"))
        if specification == "percent":
            return f"{100 * value:.1f} %"
        return format(value, specification)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"cannot write {value!r} as {specification!r}: {error}") from error


def read_result(path: Path, rows: str = "") -> list[Mapping[str, Any]]:
    """Rows of a result file: JSON lines, or the list at the dotted path ``rows`` of a JSON file.

    Raises:
        RunError: absent, malformed, or no list of records there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        records = (
            [json.loads(line) for line in text.splitlines() if line.strip()]
            if path.suffix == ".jsonl"
            else (lookup(json.loads(text), rows))
        )
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"the result file {path} cannot be read ({error}); make it again with its command") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RunError(f"{path} has no list of records{f' at {rows!r}' if rows else ''}; state its place as 'rows'")
    return records


def make_tables(specification: Path) -> dict[str, str]:
    """All tables that a ``tables.yaml`` describes, by name.

    Raises:
        SettingsError: malformed.
        RunError: a result file cannot be read.
    """
    try:
        entries = parse_yaml(specification.read_text(encoding="utf-8")) or {}
        return {name: _table(specification.parent, entry) for name, entry in entries.items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{specification}: expected NAME: {{file, columns: [{{title, value, format, spread}}], rows, where, by, "
            "beside} or NAME: {file, table: " + ", ".join(_OF_EXPERIMENTS) + "}, "
            f"got {error!r}"
        ) from error


def _table(folder: Path, entry: Mapping[str, Any]) -> str:
    if "table" in entry:
        return _table_of_experiment(folder / entry["file"], entry["table"])
    records: Sequence[Mapping[str, Any]] = read_result(folder / entry["file"], entry.get("rows", ""))
    for name, other in entry.get("beside", {}).items():
        records = put_beside(records, name, read_result(folder / other["file"], other.get("rows", "")), by=other["by"])
    chosen = select(records, where=entry.get("where"), by=entry.get("by", ""))
    return markdown_table(chosen, [Column(**column) for column in entry["columns"]])


def _labels(path: Path) -> str:
    return init_table(_some(InitRow, path))


def _classes(path: Path) -> str:
    rows = _some(InitRow, path)
    return class_table(rows, fraction=min(row.fraction for row in rows))


_OF_EXPERIMENTS: Mapping[str, Callable[[Path], str]] = {
    "labels": _labels,
    "classes": _classes,
    "transfer": lambda path: transfer_table(_some(TransferRow, path)),
    "students": lambda path: students_table(_some(InitRow, path)),
    "ablation": lambda path: ablation_table(_some(AblationRow, path)),
    "scaling": lambda path: scaling_table(_some(ScalingRow, path)),
    "robust twins": lambda path: twins_table(_some(RobustnessRow, path)),
}


def _some(kind: type[AnyRow], path: Path) -> Sequence[AnyRow]:
    rows = kind.read(path)
    if not rows:
        raise SettingsError(f"{path} has no row; make it again with its command")
    return rows


def _table_of_experiment(path: Path, of: str) -> str:
    if of not in _OF_EXPERIMENTS:
        raise SettingsError(f"{path}: table: {of}; expected one of {', '.join(_OF_EXPERIMENTS)}")
    return f"{_OF_EXPERIMENTS[of](path)}\n"


def fill_tables(text: str, tables: Mapping[str, str]) -> str:
    """A document with the content between its markers replaced.

    Raises:
        SettingsError: a marker without its end, or of a table that nobody describes.
    """
    opened = _OPENING.findall(text)
    closed = [match.group(2) for match in _BLOCK.finditer(text)]
    unknown = sorted(set(opened) - set(tables))
    if opened != closed or unknown:
        raise SettingsError(
            f"the document has the table markers {', '.join(opened)}; closed are {', '.join(closed) or 'none'}, not "
            f"described in tables.yaml {', '.join(unknown) or 'none'}"
        )
    return _BLOCK.sub(lambda match: f"{match.group(1)}{tables[match.group(2)]}{match.group(3)}", text)


def _with_spread(value: Any, spread: Any, specification: str) -> str:
    text = format_value(value, specification)
    return text if value is None or spread is None else f"{text} ± {format_value(spread, specification)}"


def _scaled(value: float, units: Sequence[str]) -> str:
    steps = 0
    while abs(value) / 1000**steps >= 999.5 and steps < len(units) - 1:
        steps += 1
    scaled = value / 1000**steps
    return f"{f'{scaled:.3g}' if abs(scaled) < 999.5 else f'{scaled:.0f}'} {units[steps]}".strip()
