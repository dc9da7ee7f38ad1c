"""Files of rows: a JSON object per line, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pydantic

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import write_text


class Row(pydantic.BaseModel):
    """A line of a file of results."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; undefined figures are None."""
        record: dict[str, Any] = json.loads(self.model_dump_json())
        return record

    def line(self) -> str:
        """As a line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)


class Keyed(Protocol):
    """A row that a rerun replaces."""

    @property
    def key(self) -> tuple[object, ...]:
        """What it is the row of: a file holds one row of each."""
        ...


AnyRow = TypeVar("AnyRow", bound=Row)
AnyKeyed = TypeVar("AnyKeyed", bound=Keyed)


def read_row_file(path: Path, kind: type[AnyRow], *, name: str, remedy: str) -> tuple[AnyRow, ...]:
    """Rows of a file; none where there is no file yet. Blank lines are passed over.

    Args:
        path: of the file.
        kind: of the rows.
        name: what one row is called in an error, such as ``row of a grid``.
        remedy: what to do about a file that is damaged, such as ``remove it and run the sweep again``.

    Raises:
        RunError: a file that cannot be read, or a line that is not a row; the message gives its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}); {remedy}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(kind.model_validate_json(line))
        except pydantic.ValidationError as error:
            raise RunError(f"{path}, line {number} is no {name}: {error}; {remedy}") from error
    return tuple(rows)


def write_row_file(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with sorted keys, whole or not at all; undefined figures become null."""
    write_text(path, "".join(row.line() + "\n" for row in rows))


def with_row(rows: Sequence[AnyKeyed], row: AnyKeyed) -> tuple[AnyKeyed, ...]:
    """Rows with one in place of the one of its key, or after all others."""
    if any(old.key == row.key for old in rows):
        return tuple(row if old.key == row.key else old for old in rows)
    return (*rows, row)
