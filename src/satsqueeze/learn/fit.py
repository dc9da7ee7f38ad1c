"""The one path by which segmentation networks are trained."""

from __future__ import annotations

import sys
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from satsqueeze.core.errors import RunError, TrainError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.data.cache import PackedCache
from satsqueeze.data.sampler import PatchSampler, SoftTargets
from satsqueeze.data.splits import Split
from satsqueeze.learn.batch import TrainBatch
from satsqueeze.learn.checkpoint import BEST_FILE, LAST_FILE, load_checkpoint, remove_checkpoints
from satsqueeze.learn.epoch_end import EpochEnd
from satsqueeze.learn.evaluate import channels
from satsqueeze.learn.feed import Feed
from satsqueeze.learn.job import Job
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.memory import keep_freed_memory
from satsqueeze.learn.precheck import check_model, check_split
from satsqueeze.learn.progress import Course, ProgressBar, quiet_lightning
from satsqueeze.learn.segmenter import resolved
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.task import SegmentationTask
from satsqueeze.nets.model import SegmentationModel, load_model, save_model

__all__ = ["FitResult", "FitSettings", "fit"]

METRICS_FILE = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What training came to."""

    folder: Path
    """Holds ``model.json``, ``weights.safetensors``, ``metrics.json`` and ``history.csv``."""
    best_score: float | None
    """Global foreground Jaccard of the kept weights over the validation images; None without any."""
    epochs: int
    best_epoch: int | None
    """Epoch whose weights were kept, counted from 1."""
    seconds: float
    """Wall time of training and validation, over all interruptions."""
    images_per_second: float
    """Patches per second of training, validation excluded."""


def fit(
    model: SegmentationModel,
    cache: PackedCache,
    split: Split,
    settings: FitSettings,
    folder: Path | str,
    *,
    objective: Objective | None = None,
    soft: SoftTargets | None = None,
) -> FitResult:
    """Train a model and keep its best weights.

    A checkpoint is written after every epoch. The same call on the same folder continues from there, and on one CPU
    with the same number of threads ends in the same weights, bit for bit, as an uninterrupted run. A finished folder
    returns at once. In every case ``model`` ends with the kept weights, in evaluation mode.

    Args:
        model: its weights are the start.
        cache: images and labels; bands are handed over by name.
        split: which images to train on and which to validate with; the latter may be none, then the last weights stay.
        settings: see there.
        folder: where results go; created if absent.
        objective: what to minimise; by default Dice + cross-entropy with deep supervision.
        soft: teacher probabilities for the objective.

    Raises:
        SplitError: no labelled pixel, or a single class, among the images to train on or to validate with.
        SettingsError: a patch size that the network cannot take, or classes that are not those of the cache.
        BandError: the model needs a band that the cache lacks.
        TrainError: the loss is not finite.
        RunError: the folder holds another run, or cannot be written.
    """
    objective = objective or DiceCE()
    job = Job(
        model=model,
        cache=cache,
        split=split,
        settings=settings,
        folder=Path(folder),
        targets=f"{_described(objective)}, {'labels only' if soft is None else type(soft).__qualname__}",
    )
    check_model(model, cache, patch_size=settings.patch_size)
    finished = _finished(job)
    if finished is not None:
        return finished
    check_split(cache, split, labelled=soft is None)
    keep_freed_memory()
    with torch.random.fork_rng(), quiet_lightning():
        _train(job, objective, soft)
    return _finish(job)


def _train(job: Job, objective: Objective, soft: SoftTargets | None) -> None:
    settings = job.settings
    task = SegmentationTask(job.model, objective, settings)
    if settings.channels_last:
        job.model.to(memory_format=torch.channels_last)
    last = load_checkpoint(job.folder / LAST_FILE, job.fingerprint)
    if last is not None:
        job.course = Course(**last["course"])
        task.restore(last)
    if job.course.epochs == settings.epochs:
        return
    sampler = PatchSampler(
        job.cache,
        job.split.train,
        patch_size=settings.patch_size,
        batch_size=settings.batch_size,
        foreground_share=settings.foreground_share,
        seed=settings.seed,
        source_weights=settings.source_weights,
        soft=soft,
    )
    feed = Feed(
        sampler,
        steps=settings.steps_per_epoch,
        first=job.course.epochs * settings.steps_per_epoch,
        last=settings.steps,
        channels=channels(job.model, job.cache),
    )
    loader: DataLoader[TrainBatch] = DataLoader(feed, batch_size=None)
    try:
        _trainer(job, feed).fit(task, loader)
    finally:
        feed.close()


def _trainer(job: Job, feed: Feed) -> pl.Trainer:
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
    return _result(job.folder, record)


def _finished(job: Job) -> FitResult | None:
    path = job.folder / METRICS_FILE
    if not path.exists():
        return None
    record = read_json(path)
    if record.get("fingerprint") != job.fingerprint:
        raise RunError(
            f"{job.folder} holds a finished training with other settings, data or network; choose a new folder, or "
            "remove this one to train anew"
        )
    job.model.load_state_dict(load_model(job.folder).state_dict())
    job.model.eval()
    return _result(job.folder, record)


def _described(objective: Objective) -> str:
    """The repr of a dataclass, which shows its settings; else the name of its class."""
    return repr(objective) if is_dataclass(objective) else type(objective).__qualname__


def _result(folder: Path, record: dict[str, Any]) -> FitResult:
    validation = record["validation"]
    return FitResult(
        folder=folder,
        best_score=None if validation is None else validation["jaccard"],
        epochs=record["epochs"],
        best_epoch=record["best_epoch"],
        seconds=record["seconds"],
        images_per_second=record["images_per_second"],
    )
