"""One line per training of an ablation of pre-training."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.row_file import read_row_file
from satsqueeze.bench.starts.row import InitRow


class AblationRow(InitRow):
    """A row of a comparison of starts, and what was varied in it."""

    factor: str
    """Empty for the random start."""
    value: str
    is_reference: bool

    @property
    def cell(self) -> tuple[str, str]:
        """Factor and value."""
        return self.factor, self.value


def read_ablation_rows(path: Path) -> tuple[AblationRow, ...]:
    """Rows of a JSON-lines file, in order; none where there is no file yet.

    Raises:
        RunError: a line that is not a row; the message gives its number.
    """
    return read_row_file(
        path,
        AblationRow,
        name="row of an ablation",
        remedy="check the path; if the file is damaged, remove it and run the ablation again",
    )
