"""What a variant of pre-training gains over a random start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.starts.ablation_row import AblationRow
from satsqueeze.bench.starts.seed_estimate import estimate, gain
from satsqueeze.core.errors import DataError


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


def ablation_table(rows: Sequence[AblationRow]) -> str:
    """Markdown: of each value of each factor the test mIoU, and its gain over a random start with the paired p."""
    base = random_by_seed(rows)
    lines: list[tuple[str, ...]] = [("random start", "", estimate(list(base.values())).percent)]
    for factor, value in dict.fromkeys(row.cell for row in rows if row.factor):
        scores = by_seed(rows, factor, value)
        more, p = gain(scores, base)
        reference = any(row.is_reference for row in rows if row.cell == (factor, value))
        told = f"{100 * more.mean:+.1f} ± {100 * more.half:.1f}{'' if p is None else f' (p = {p:.2g})'}"
        name = f"{value} (reference)" if reference else value
        lines.append((factor, name, estimate(list(scores.values())).percent, told))
    return markdown(("factor", "value", "mIoU", "gain over random"), lines)
