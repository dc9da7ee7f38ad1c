"""Training histories as the report draws them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from satsqueeze.core.errors import RunError

FILE = "history.csv"


def read_history(path: Path) -> list[dict[str, float | None]]:
    """Rows of a ``history.csv``, one per epoch; empty fields are None.

    Raises:
        RunError: absent, or a field that is no number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return [
                {name: float(value) if value else None for name, value in row.items()} for row in csv.DictReader(handle)
            ]
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise RunError(f"the training history {path} cannot be read ({error}); train again to write it") from error


def find_histories(
    run: Path, parts: Iterable[str] = ("teacher", "students")
) -> dict[str, list[dict[str, float | None]]]:
    """Histories of all models of a run folder, by ``part/model``; models that have none yet are left out."""
    paths = [path for part in parts for path in sorted((run / part).glob(f"*/{FILE}"))]
    return {f"{path.parent.parent.name}/{path.parent.name}": read_history(path) for path in paths}
