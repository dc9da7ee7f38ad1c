"""Files of rows: a JSON object per line, in order."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import pydantic

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import write_text


class Row(pydantic.BaseModel):
    """A line of a file of results."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")
    called: ClassVar[str] = "row"
    """What one is called in an error."""
    made_by: ClassVar[str] = "the command"
    """What writes the file, as an error names it."""

    @classmethod
    def read(cls, path: Path) -> tuple[Self, ...]:
        """Rows of a file, in order; none where there is no file yet. Blank lines are passed over.

        Raises:
            RunError: a file that cannot be read, or a line that is not a row; the message gives its number.
        """
        remedy = f"check the path; if the file is damaged, mend or remove it and run {cls.made_by} again"
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
                rows.append(cls.model_validate_json(line))
            except pydantic.ValidationError as error:
                raise RunError(f"{path}, line {number} is no {cls.called}: {error}; {remedy}") from error
        return tuple(rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; undefined figures are None."""
        record: dict[str, Any] = json.loads(self.model_dump_json())
        return record

    def line(self) -> str:
        """As a line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)


class KeyedRow(Row):
    """A row that a rerun replaces."""

    @property
    @abstractmethod
    def key(self) -> tuple[object, ...]:
        """What it is the row of: a file holds one row of each."""


AnyKeyed = TypeVar("AnyKeyed", bound=KeyedRow)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with sorted keys, whole or not at all; undefined figures become null."""
    write_text(path, "".join(row.line() + "\n" for row in rows))


def record_row(path: Path, row: AnyKeyed) -> tuple[AnyKeyed, ...]:
    """Add a row to a file, or put it in place of the one of its key; returns all rows.

    Raises:
        RunError: see :meth:`Row.read`.
    """
    rows = type(row).read(path)
    known = any(old.key == row.key for old in rows)
    rows = tuple(row if old.key == row.key else old for old in rows) if known else (*rows, row)
    write_rows(path, rows)
    return rows
