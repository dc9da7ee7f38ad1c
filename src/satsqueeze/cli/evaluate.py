"""``satsqueeze evaluate``: score a flight package on labelled imagery."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Literal

from satsqueeze.cli.progress import progress

_SHOWN = (
    "jaccard",
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "mean_average_precision",
    "calibration_error",
)


def evaluate(
    package: Path,
    data: str,
    *,
    card: str | None = None,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    buffer: float | None = None,
    json: bool = False,
) -> int:
    """Score a package on a data set, listing on standard error the files that had to be left out.

    Args:
        package: folder of a flight package.
        data: folder, zip file or YAML list of sources.
        card: name of the card, where the folder has no dataset.yaml.
        precision: which graph of the package.
        buffer: metres by which foreground is widened, where the size of pixels is known; by default the package's.
        json: print the metrics as JSON on stdout.
    """
    from satsqueeze.bench.evaluate import evaluate as score
    from satsqueeze.data.dataset import open_dataset

    with progress("scoring") as advance:
        result = score(
            package, open_dataset(data, card=card), precision=precision, buffer_m=buffer, on_progress=advance
        )
    if json:
        print(dumps(result, indent=2))
    else:
        print(f"{result['protocol']}")
        for key in (key for key in _SHOWN if key in result):
            print(f"{key:<22} {result[key]:.4f}" if result[key] is not None else f"{key:<22} undefined")
    for entry in result["quarantined"]:
        print(f"left out: {entry['file']}: {entry['reason']}", file=sys.stderr)
    return 0
