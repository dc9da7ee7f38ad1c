"""Pre-training networks on images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satsqueeze.core.files import write_json
from satsqueeze.data.cache.packed import SEGMENTATION, PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.job import Job
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.learn.training import Cut, FitResult, train
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.edges import edges_of_views
from satsqueeze.pretrain.features import Backbone
from satsqueeze.pretrain.probe import Probe
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.task import PretrainTask
from satsqueeze.pretrain.view_sampler import ViewSampler
from satsqueeze.pretrain.views_check import check_views

__all__ = ["RECORD_FILE", "PretrainSettings", "pretrain"]

RECORD_FILE = "pretraining.json"
FORMAT_VERSION = 1


@dataclass(kw_only=True)
class PretrainJob(Job):
    """Training without labels."""

    settings: PretrainSettings

    @property
    def headline(self) -> str:
        """No epoch is chosen by a score."""
        return "uniformity"

    def score(self, model: SegmentationModel, *, final: bool) -> dict[str, Any]:
        """Nothing: see the history for alignment and uniformity."""
        del model, final
        return {}


def pretrain(
    model: SegmentationModel, cache: PackedCache, ids: Sequence[str], settings: PretrainSettings, folder: Path | str
) -> FitResult:
    """Train a model to embed matched pixels of two views alike; resumes as :func:`satsqueeze.learn.fit.fit` does.

    ``history.csv`` tells after every epoch the loss, alignment and uniformity, and, where there are labels, what k-NN
    and a linear probe make of frozen features; nothing is learnt from labels. ``pretraining.json`` names the tensors
    that were trained.

    Args:
        model: its weights are the start; ends with the last ones, in evaluation mode.
        cache: images; bands are handed over by name.
        ids: items to learn from.
        settings: see there.
        folder: where results go; created if absent.

    Raises:
        DataError: no image, or no two views share a valid, cloudless pixel.
        SettingsError: a view size that the network cannot take, a network or scope that does not fit, or places that
            are not found in names.
        GridError: the dates of a place differ in size.
        BandError: the model needs a band that the cache lacks.
        TrainError: the loss is not finite; CollapseError: all pixels are embedded alike.
        RunError: the folder holds another run, or cannot be written.
    """
    backbone = Backbone(model, settings.scope)
    check_views(model, settings)
    job = PretrainJob(
        model=model,
        cache=cache,
        split=Split(train=tuple(ids), validation=()),
        settings=settings,
        folder=Path(folder),
        targets="dense contrast of two views"
        + (f", series of up to {settings.views.series} dates" if settings.views.series else ""),
    )

    def start() -> tuple[PretrainTask, Cut]:
        taken = channels(model, cache)
        sampler = ViewSampler(
            cache, ids, settings.views, batch_size=settings.batch_size, seed=settings.seed, channels=taken
        )
        return PretrainTask(model, settings, sampler, _probe(cache, ids, settings, taken)), sampler.batch

    with edges_of_views(model, settings.edges):
        result = train(job, start)
    record = {"format_version": FORMAT_VERSION, "scope": settings.scope, "trained": list(backbone.trained())}
    write_json(Path(folder) / RECORD_FILE, record)
    return result


def _probe(cache: PackedCache, ids: Sequence[str], settings: PretrainSettings, taken: list[int] | None) -> Probe | None:
    """None without labels, where none is wanted, and of series: it asks of single dates."""
    if not settings.monitor_pixels or cache.task != SEGMENTATION or settings.views.series:
        return None
    size, pixels = settings.views.size, settings.monitor_pixels
    probe = Probe(cache, ids, size=size, pixels=pixels, seed=settings.seed, channels=taken)
    return probe if probe.askable else None
