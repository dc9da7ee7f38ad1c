"""What a run has come to, for the person who waits and for the run that resumes."""

from __future__ import annotations

import csv
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import override

from satsqueeze.core.files import write_text
from satsqueeze.learn.settings import TrainSettings

HISTORY_FILE = "history.csv"
_SHOWN = ("loss", "jaccard", "mean_jaccard", "accuracy", "mean_average_precision", "uniformity", "knn")

Row = dict[str, float | int | None]


@dataclass
class Course:
    """The course of a training run up to the last finished epoch."""

    history: list[Row] = field(default_factory=list)
    """One row per finished epoch."""
    smoothed: float | None = None
    """Exponential average of the validation scores."""
    best_smoothed: float | None = None
    best_epoch: int | None = None
    """Epoch of the weights in the best checkpoint, counted from 1."""

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.history)

    def add_score(self, score: float, *, smoothing: float) -> bool:
        """Take in the validation score of the epoch that ends; True if its smoothed score is the best so far."""
        self.smoothed = score if self.smoothed is None else smoothing * self.smoothed + (1 - smoothing) * score
        if self.best_smoothed is not None and self.smoothed <= self.best_smoothed:
            return False
        self.best_smoothed, self.best_epoch = self.smoothed, self.epochs + 1
        return True

    def total(self, column: str) -> float:
        """Sum of a column of the history."""
        return float(sum(row.get(column) or 0 for row in self.history))

    def write(self, path: Path) -> None:
        """Write the history as CSV; undefined values are empty."""
        names = list(dict.fromkeys(name for row in self.history for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        write_text(path, text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``Course(**record)`` reads them back."""
        return asdict(self)


class ProgressBar(Callback):
    """One line on standard error for the whole run.

    Args:
        name: shown in front.
        course: how far the run has come; its last row is shown at the end.
        settings: of the run.
    """

    def __init__(self, name: str, course: Course, settings: TrainSettings) -> None:
        self._course = course
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        first = course.epochs * settings.steps_per_epoch
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._line = self._bar.add_task(name, total=settings.steps, completed=first, status="")

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()

    @override
    def on_train_batch_end(self, *args: object, **kwargs: object) -> None:
        """Move the bar."""
        self._bar.advance(self._line)

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show what the last epoch came to."""
        last = self._course.history[-1] if self._course.history else {}
        shown = (f"{name} {last[name]:.4f}" for name in _SHOWN if last.get(name) is not None)
        self._bar.update(self._line, status=" ".join(shown))

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._bar.stop()

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._bar.stop()


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's hints and warnings, which are about what is chosen here on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
