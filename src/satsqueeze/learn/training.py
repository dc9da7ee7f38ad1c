"""The one path by which networks are trained, whatever for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from satsqueeze.core.errors import RunError, TrainError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.learn.checkpoint import BEST_FILE, LAST_FILE, load_checkpoint, remove_checkpoints
from satsqueeze.learn.epoch_end import EpochEnd
from satsqueeze.learn.feed import Feed
from satsqueeze.learn.job import Job
from satsqueeze.learn.memory import keep_freed_memory
from satsqueeze.learn.progress import Course, ProgressBar, quiet_lightning
from satsqueeze.learn.scoring.segmenter import resolved
from satsqueeze.learn.task import TrainingTask
from satsqueeze.nets.model import load_model, model_files, save_model
from satsqueeze.nets.transfer_report import TransferReport

METRICS_FILE = "metrics.json"

Cut = Callable[[int], Any]
"""Makes the batch of a step."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What training came to."""

    folder: Path
    """Holds ``model.json``, ``weights.safetensors``, ``metrics.json`` and ``history.csv``."""
    best_score: float | None
    """Headline score of the kept weights over the validation images, None without any: global foreground Jaccard in
    segmentation, accuracy in classification, mean average precision with several labels."""
    epochs: int
    best_epoch: int | None
    """Epoch whose weights were kept, counted from 1."""
    seconds: float
    """Wall time of training and validation, over all interruptions."""
    images_per_second: float
    """Images or patches per second of training, validation excluded."""


def train(job: Job, start: Callable[[], tuple[TrainingTask[Any], Cut]]) -> FitResult:
    """Run a job to its end, or take it up where it was interrupted; a finished one returns at once.

    Args:
        job: the model ends with the kept weights, in evaluation mode.
        start: checks the data and makes the task and what cuts its batches; called unless the job is finished.

    Raises:
        TrainError: the loss is not finite.
        RunError: the folder holds another run, or cannot be written.
    """
    finished = _finished(job)
    if finished is not None:
        return finished
    task, cut = start()
    keep_freed_memory()
    with torch.random.fork_rng(), quiet_lightning():
        _train(job, task, cut)
    return _finish(job)


def targets(objective: object, source: str, origin: TransferReport | None) -> str:
    """What a training aims at, for its fingerprint.

    Args:
        objective: what is minimised.
        source: what is learnt from.
        origin: where the model's weights come from, if not from its seed.
    """
    begun = "" if origin is None else f", started from {origin.source} within {origin.tolerance_nm:g} nm"
    return f"{described(objective)}, {source}{begun}"


def described(objective: object) -> str:
    """The repr of a dataclass, which shows its settings; else the name of its class."""
    return repr(objective) if is_dataclass(objective) else type(objective).__qualname__


def _train(job: Job, task: TrainingTask[Any], cut: Cut) -> None:
    settings = job.settings
    if settings.channels_last:
        job.model.to(memory_format=torch.channels_last)
    last = load_checkpoint(job.folder / LAST_FILE, job.fingerprint)
    if last is not None:
        job.course = Course(**last["course"])
        task.restore(last)
    if job.course.epochs == settings.epochs:
        return
    first = job.course.epochs * settings.steps_per_epoch
    feed: Feed[Any] = Feed(cut, steps=settings.steps_per_epoch, first=first, last=settings.steps)
    loader: DataLoader[Any] = DataLoader(feed, batch_size=None)
    try:
        _trainer(job, feed).fit(task, loader)
    finally:
        feed.close()


def _trainer(job: Job, feed: Feed[Any]) -> pl.Trainer:
    settings = job.settings
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    callbacks: list[Callback] = [EpochEnd(job, feed)]
    if settings.progress and sys.stderr.isatty():
        callbacks.append(ProgressBar(job.model.card.name, job.course, settings))
    return pl.Trainer(
        accelerator=kind,
        devices=1,
        precision="bf16-mixed" if resolved(settings.precision, torch.device(kind)) == "bf16" else "32-true",
        max_epochs=settings.epochs - job.course.epochs,
        callbacks=callbacks,
        default_root_dir=job.folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _finish(job: Job) -> FitResult:
    """Write the kept model with its metrics, then drop the checkpoints."""
    model, course, settings = job.model, job.course, job.settings
    kept = None
    for name in (BEST_FILE, LAST_FILE):
        kept = kept or load_checkpoint(job.folder / name, job.fingerprint)
    if kept is None:
        raise TrainError(f"training in {job.folder} ended without an epoch; start it again")
    model.load_state_dict(kept["kept"])
    model.to(memory_format=torch.contiguous_format)
    model.eval()
    validation = job.score(model, final=True) if job.split.validation else None
    trained = course.total("seconds")
    save_model(model, job.folder)
    record = {
        "fingerprint": job.fingerprint,
        "validation": validation,
        "best_epoch": course.best_epoch if settings.keep == "best" and validation else course.epochs,
        "epochs": course.epochs,
        "seconds": trained + course.total("validation_seconds"),
        "images_per_second": settings.batch_size * settings.steps / max(trained, 1e-9),
        "settings": settings.to_dict(),
    }
    write_json(job.folder / METRICS_FILE, record)
    remove_checkpoints(job.folder)
    return _result(job, record)


def _finished(job: Job) -> FitResult | None:
    path = job.folder / METRICS_FILE
    if not all(Path(file).exists() for file in (path, *model_files(str(job.folder)))):
        return None  # not yet, or what it left is gone
    record = read_json(path)
    if record.get("fingerprint") != job.fingerprint:
        raise RunError(
            f"{job.folder} holds a finished training with other settings, data or network; choose a new folder, or "
            "remove this one to train anew"
        )
    job.model.load_state_dict(load_model(job.folder).state_dict())
    job.model.eval()
    return _result(job, record)


def _result(job: Job, record: dict[str, Any]) -> FitResult:
    validation = record["validation"]
    return FitResult(
        folder=job.folder,
        best_score=None if validation is None else validation[job.headline],
        epochs=record["epochs"],
        best_epoch=record["best_epoch"],
        seconds=record["seconds"],
        images_per_second=record["images_per_second"],
    )
