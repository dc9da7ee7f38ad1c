"""What happens between two epochs."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from satsqueeze.learn.checkpoint import BEST_FILE, LAST_FILE, save_checkpoint
from satsqueeze.learn.feed import Feed
from satsqueeze.learn.job import Job
from satsqueeze.learn.progress import HISTORY_FILE, Row
from satsqueeze.learn.task import TrainingTask


class EpochEnd(Callback):
    """Validates, records and saves after every epoch.

    Args:
        job: what is trained; its course is carried on.
        feed: where the batches come from, for the time spent waiting.
    """

    def __init__(self, job: Job, feed: Feed[Any]) -> None:
        self._job, self._feed = job, feed
        self._start = self._waited = 0.0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start, self._waited = time.perf_counter(), self._feed.waited

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch; the checkpoint comes last, so that an epoch counts only once all else is written."""
        task, job = pl_module, self._job
        if not isinstance(task, TrainingTask):
            return
        settings, course = job.settings, job.course
        losses = task.mean_losses()
        seconds = time.perf_counter() - self._start
        row: Row = {"epoch": course.epochs + 1, "learning_rate": settings.learning_rate_at(self._step), **losses}
        row |= task.observed()
        row |= self._validate(task)
        row |= {
            "seconds": seconds,
            "images_per_second": settings.batch_size * settings.steps_per_epoch / seconds,
            "waiting_share": (self._feed.waited - self._waited) / seconds,
        }
        course.history.append(row)
        course.write(job.folder / HISTORY_FILE)
        record = {"fingerprint": job.fingerprint, "kept": task.scored.state_dict(), "course": course.to_dict()}
        save_checkpoint(job.folder / LAST_FILE, record | task.snapshot())

    @property
    def _step(self) -> int:
        return (self._job.course.epochs + 1) * self._job.settings.steps_per_epoch - 1

    def _validate(self, task: TrainingTask[Any]) -> Row:
        job = self._job
        name, smoothed = job.headline, f"{job.headline}_smoothed"
        if not job.split.validation:
            return {}
        if not job.settings.validates(job.course.epochs):
            return {name: None, smoothed: job.course.smoothed, "validation_seconds": 0.0}
        start = time.perf_counter()
        score = job.score(task.scored, final=False)[name] or 0.0
        is_best = job.course.add_score(score, smoothing=job.settings.score_smoothing)
        if is_best and job.settings.keep == "best":
            record = {"fingerprint": job.fingerprint, "kept": task.scored.state_dict()}
            save_checkpoint(job.folder / BEST_FILE, record)
        return {name: score, smoothed: job.course.smoothed, "validation_seconds": time.perf_counter() - start}
