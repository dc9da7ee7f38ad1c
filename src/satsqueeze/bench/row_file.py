"""Files of rows: a JSON object per line, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pydantic

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import write_text

Row = TypeVar("Row", bound=pydantic.BaseModel)


def read_row_file(path: Path, kind: type[Row], *, name: str, remedy: str) -> tuple[Row, ...]:
    """Rows of a file; none where there is no file yet.

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
        try:
            rows.append(kind.model_validate_json(line))
        except pydantic.ValidationError as error:
            raise RunError(f"{path}, line {number} is no {name}: {error}; {remedy}") from error
    return tuple(rows)


def write_row_file(path: Path, rows: Sequence[pydantic.BaseModel]) -> None:
    """Write rows with sorted keys, whole or not at all; undefined figures become null."""
    records = [json.loads(row.model_dump_json()) for row in rows]
    write_text(path, "".join(json.dumps(record, sort_keys=True, allow_nan=False) + "\n" for record in records))
