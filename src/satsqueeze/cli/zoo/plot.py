"""``satsqueeze zoo plot``: score against cost of the rows of a bench."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.bench.scaling.plot import plot_scores
from satsqueeze.bench.zoo.row import ZooRow
from satsqueeze.core.errors import RunError


def plot(rows: Path, out: Path = Path("zoo.png")) -> int:
    """Draw score against multiply-accumulates of the networks that 'satsqueeze zoo bench' has trained.

    Args:
        rows: JSON-lines file of a bench (zoo.jsonl).
        out: picture to write, as PNG, SVG or PDF by its suffix.
    """
    if not rows.is_file():
        raise RunError(f"there is no file {rows}; expected the zoo.jsonl in the run folder of 'satsqueeze zoo bench'")
    plot_scores(ZooRow.read(rows), out)
    print(out)
    return 0
