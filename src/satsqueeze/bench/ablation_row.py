"""One line per training of an ablation of pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from satsqueeze.bench.init_figure import Estimate, estimate, paired_p
from satsqueeze.bench.init_row import InitRow
from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.row_file import read_row_file
from satsqueeze.core.errors import DataError


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


def by_seed(rows: Sequence[AblationRow], factor: str, value: str) -> dict[int, float]:
    """Test mIoU by seed, mean over targets and shares of labels."""
    mine = [row for row in rows if row.cell == (factor, value)]
    return {seed: float(np.mean([row.test for row in mine if row.seed == seed])) for seed in {r.seed for r in mine}}


def random_by_seed(rows: Sequence[AblationRow]) -> dict[int, float]:
    """That of the random start.

    Raises:
        DataError: it is not there.
    """
    found = by_seed(rows, "", "")
    if not found:
        raise DataError("an ablation has no row of a random start; run it again")
    return found


def gain(scores: dict[int, float], base: dict[int, float]) -> tuple[Estimate, float | None]:
    """Mean of scores over seeds with its interval, as far as both have the seed, less a base; and the paired p."""
    common = sorted(scores.keys() & base.keys())
    first, second = [scores[seed] for seed in common], [base[seed] for seed in common]
    return estimate(list(np.subtract(first, second))), paired_p(first, second)


def ablation_table(rows: Sequence[AblationRow]) -> str:
    """Markdown: of each value of each factor the test mIoU, and its gain over a random start with the paired p."""
    base = random_by_seed(rows)
    lines: list[tuple[str, ...]] = [("random start", "", _percent(estimate(list(base.values()))))]
    for factor, value in dict.fromkeys(row.cell for row in rows if row.factor):
        scores = by_seed(rows, factor, value)
        more, p = gain(scores, base)
        reference = any(row.is_reference for row in rows if row.cell == (factor, value))
        told = f"{100 * more.mean:+.1f} ± {100 * (more.high - more.mean):.1f}{'' if p is None else f' (p = {p:.2g})'}"
        name = f"{value} (reference)" if reference else value
        lines.append((factor, name, _percent(estimate(list(scores.values()))), told))
    return markdown(("factor", "value", "mIoU", "gain over random"), lines)


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}"
