"""One line per student and way of teaching: quality over seeds, cost, and whether teaching helped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from satsqueeze.bench.classes.paired import Paired
from satsqueeze.bench.machine import Machine
from satsqueeze.bench.row_file import Row, write_rows
from satsqueeze.bench.throughput import Throughput
from satsqueeze.core.class_metrics import ClassMetrics

Metrics = dict[str, float | None]
METRICS = ("accuracy", "precision_weighted", "recall_weighted", "f1_macro", "mean_average_precision")


class GridRow(Row):
    """What is known about one network taught in one way; None means not known or undefined."""

    called = "row of a grid"
    made_by = "'satsqueeze zoo grid'"

    name: str
    """Of the student or teacher."""
    kind: Literal["teacher", "student", "shipped"]
    """``shipped``: one long run, as a flight package."""
    way: str = ""
    """Of teaching; empty for teachers, which learn from labels."""
    teachers: tuple[str, ...] = ()
    model: str
    """Name of the zoo."""
    precision: str = "fp32"
    graph: str = ""
    """File and engine within the package, where it is shipped."""
    test: Metrics
    """Means over seeds, as fractions, of: accuracy, precision and recall weighted by class, macro F1, mAP."""
    test_spread: Metrics = pydantic.Field(default_factory=dict)
    """Standard deviations over seeds, where there are several."""
    validation: Metrics = pydantic.Field(default_factory=dict)
    """Means over seeds on the images by which recipes may be chosen."""
    seeds: tuple[int, ...]
    """Of the trainings behind the scores."""
    images: int
    """Of the test part."""
    versus: str = ""
    """The way that ``paired`` compares with."""
    paired: Paired | None = None
    """With the same student taught the other way, over test images and common seeds."""
    parameters: int
    macs: int
    """Multiply-accumulates of one image of ``size``."""
    size: int
    """Height and width of the images, in pixels."""
    epochs: int | None = None
    train_minutes: float | None = None
    """Of one training, the mean over seeds; the teachers' own are in their rows."""
    train_images_per_second: float | None = None
    bytes: int | None = None
    """Of the graph."""
    inference: Throughput | None = None
    machine: Machine | None = None
    """Where inference was timed."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is the row of: rows of one place are about the same trainings."""
        return self.kind, self.name, "" if self.kind == "shipped" else self.way


def metrics_of(found: ClassMetrics) -> Metrics:
    """What rows tell of the scores of one network."""
    record = found.to_dict()
    return {name: record[name] for name in METRICS}


def mean_metrics(records: Sequence[Metrics]) -> Metrics:
    """Mean over seeds, None where one of them is undefined."""
    return {name: float(np.mean(values)) if values else None for name, values in _columns(records)}


def metrics_spread(records: Sequence[Metrics]) -> Metrics:
    """Standard deviation over seeds (n - 1); empty for a single one."""
    if len(records) < 2:
        return {}
    return {name: float(np.std(values, ddof=1)) if values else None for name, values in _columns(records)}


def _columns(records: Sequence[Metrics]) -> Iterator[tuple[str, list[float]]]:
    for name in METRICS:
        values = [value for record in records if (value := record[name]) is not None]
        yield name, values if len(values) == len(records) else []


def record_grid_rows(path: Path, rows: Sequence[GridRow]) -> None:
    """Put rows into a file, in place of those of the same networks and ways; what else stands there stays.

    One row of a network as it ships replaces all others of that network as it ships, however it was taught.

    Raises:
        RunError: see :meth:`GridRow.read`.
    """
    written = {row.place for row in rows}
    write_rows(path, [*(row for row in GridRow.read(path) if row.place not in written), *rows])
