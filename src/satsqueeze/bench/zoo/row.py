"""One line per trained classifier: quality, cost and speed, with what makes them comparable."""

from __future__ import annotations

from collections.abc import Sequence

from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.machine import Machine
from satsqueeze.bench.markdown import markdown
from satsqueeze.bench.row_file import KeyedRow
from satsqueeze.bench.throughput import Throughput


class ZooRow(KeyedRow):
    """What is known about one network, trained under a stated budget from one seed; None means not known."""

    called = "row of a sweep"
    made_by = "the sweep"

    model: str
    """Name of the zoo."""
    seed: int
    fingerprint: str
    """Hash of data, split, network and settings; a rerun with the same one is skipped."""
    failure: str = ""
    """Why there are no figures; empty where there are."""
    family: str = ""
    parameters: int | None = None
    macs: int | None = None
    """Multiply-accumulates for one image of ``size``."""
    size: int | None = None
    """Height and width of the images, in pixels."""
    fp32_bytes: int | None = None
    """Size of the fp32 graph."""
    metric: str = ""
    """Of the scores: ``accuracy`` or ``mean_average_precision``."""
    validation: float | None = None
    """Score on the images that the best epoch was chosen by."""
    test: float | None = None
    """Score on images on which nothing was chosen."""
    epochs: int | None = None
    steps: int | None = None
    train_batch: int | None = None
    """Images of a training step."""
    train_threads: int | None = None
    train_precision: str | None = None
    """``bf16`` or ``fp32``: what the processor computed in."""
    train_minutes: float | None = None
    """Training and validation."""
    train_images_per_second: float | None = None
    """In training; of the trial that shared out the minutes, where a budget of minutes is."""
    inference: Throughput | None = None
    """Of the fp32 graph."""
    energy: Energy | NotMeasured = NotMeasured("nobody asked for it")
    """Of one image."""
    machine: Machine | None = None
    """Where it was timed, before it was trained."""

    @property
    def key(self) -> tuple[str, int]:
        """What a rerun replaces."""
        return self.model, self.seed


def zoo_table(rows: Sequence[ZooRow]) -> str:
    """The rows as a Markdown table, the best test score first, failures last."""
    heads = (
        "model",
        "test",
        "validation",
        "parameters",
        "MACs",
        "bytes",
        "train min",
        "train img/s",
        "img/s",
        "energy",
    )
    done = sorted((row for row in rows if not row.failure), key=lambda row: -(row.test or row.validation or 0.0))
    failed = [(f"{row.model} (seed {row.seed})", f"failed: {row.failure}") for row in rows if row.failure]
    return markdown(heads, [*map(_cells, done), *failed], right=range(1, len(heads)))


def _cells(row: ZooRow) -> tuple[str, ...]:
    inference = row.inference
    energy = row.energy
    return (
        row.model if not row.seed else f"{row.model} (seed {row.seed})",
        _number(row.test, ".4f"),
        _number(row.validation, ".4f"),
        _number(row.parameters, ",d"),
        f"{(row.macs or 0) / 1e6:,.1f} M at {row.size} px",
        _number(row.fp32_bytes, ",d"),
        _number(row.train_minutes, ".1f"),
        _number(row.train_images_per_second, ",.0f"),
        _number(None if inference is None else inference.images_per_second, ",.0f"),
        "not measured" if isinstance(energy, NotMeasured) else f"{energy.joules * 1e3:.3g} mJ",
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
