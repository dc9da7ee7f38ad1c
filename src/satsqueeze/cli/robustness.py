"""``satsqueeze robustness``: score a flight package on images with something wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from satsqueeze.cli.progress import progress
from satsqueeze.core.errors import SettingsError

if TYPE_CHECKING:
    from satsqueeze.bench.robustness.row import RobustnessRow


def robustness(  # noqa: PLR0917 - all but package and data are flags
    package: Path,
    data: str,
    card: str | None = None,
    split: Path | None = None,
    limit: int | None = None,
    corruptions: list[str] | None = None,
    severities: list[int] | None = None,
    seed: int = 0,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    rows: Path | None = None,
    figure: Path | None = None,
    json: bool = False,
) -> int:
    """Score a package under noise, blur, haze, brightness and missing bands, beside the clean images of the same run.

    Args:
        package: folder of a flight package that decides on whole images.
        data: folder, zip file or YAML list of sources.
        card: name of the card, where the folder has no dataset.yaml.
        split: file with a split, of which only the test images are scored; by default all images.
        limit: score the first so many images only.
        corruptions: some of noise, blur, haze, brightness, missing-bands; by default all.
        severities: some of 1, 2, 3, 4, 5; by default all.
        seed: of all draws.
        precision: which graph of the package.
        rows: JSON-lines file to keep the result in, in place of what it has of the same package, precision, share of
            corrupted training images and seed of the training.
        figure: PNG to draw of all in that file: accuracy by severity for every share, mean and range over seeds.
        json: print one line of JSON per corruption and severity instead of a table.
    """
    from satsqueeze.bench.robustness.score import RobustnessSettings
    from satsqueeze.bench.robustness.score import robustness as measure
    from satsqueeze.data.corruptions import CORRUPTIONS, SEVERITIES
    from satsqueeze.data.dataset import open_dataset
    from satsqueeze.data.splits.class_split import read_split

    if figure is not None and rows is None:
        raise SettingsError("--figure draws what is in the file of --rows; state that as well")
    settings = RobustnessSettings(
        corruptions=tuple(corruptions or CORRUPTIONS),  # type: ignore[arg-type]  # names are checked there
        severities=tuple(severities or SEVERITIES),
        seed=seed,
    )
    with progress("scoring") as advance:
        found = measure(
            package,
            open_dataset(data, card=card),
            settings=settings,
            ids=None if split is None else frozenset(read_split(split).test),
            limit=limit,
            precision=precision,
            on_progress=advance,
        )
    if rows is not None:
        _keep(found.rows, rows, figure)
    print("\n".join(row.line() for row in found.rows) if json else _table(found.rows, settings.severities))
    for entry in found.quarantined:
        print(f"left out: {entry['file']}: {entry['reason']}", file=sys.stderr)
    return 0


def _keep(rows: Sequence[RobustnessRow], path: Path, figure: Path | None) -> None:
    from satsqueeze.bench.robustness.figure import draw_robustness
    from satsqueeze.bench.robustness.row import record_robustness_rows

    kept = record_robustness_rows(path, rows)
    if figure is not None:
        draw_robustness(kept, figure)


def _table(rows: Sequence[RobustnessRow], severities: Sequence[int]) -> str:
    """Accuracy in percent, one line per corruption and one column per severity."""
    clean, *cells = rows
    accuracy = {(row.corruption, row.severity): row.accuracy for row in cells}
    title = f"accuracy of {clean.package} ({clean.precision}) on {clean.images} images, % by severity"
    lines = [title, f"{'':<14}{''.join(f'{severity:>8}' for severity in severities)}"]
    lines.append(f"{clean.corruption:<14}{100 * clean.accuracy:>8.2f}")
    for kind in dict.fromkeys(row.corruption for row in cells):
        values = (f"{100 * accuracy[kind, severity]:>8.2f}" for severity in severities)
        lines.append(f"{kind:<14}{''.join(values)}")
    return "\n".join(lines)
