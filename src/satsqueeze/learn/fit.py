"""Training networks that segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.sampler import PatchSampler, SoftTargets
from satsqueeze.data.splits.label_share import with_labels
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.feed import patches
from satsqueeze.learn.job import SegmentationJob
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.norm_statistics import measure_norms
from satsqueeze.learn.precheck import check_model, check_split
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.task import SegmentationTask
from satsqueeze.learn.training import Cut, FitResult, targets, train
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.transfer_report import TransferReport

__all__ = ["FitResult", "FitSettings", "fit"]


def fit(
    model: SegmentationModel,
    cache: PackedCache,
    split: Split,
    settings: FitSettings,
    folder: Path | str,
    *,
    objective: Objective | None = None,
    soft: SoftTargets | None = None,
    origin: TransferReport | None = None,
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
        origin: where the model's weights come from, if not from its seed.

    Raises:
        SplitError: no labelled pixel, or a single class, among the images to train on or to validate with.
        SettingsError: a patch size that the network cannot take, or classes that are not those of the cache.
        BandError: the model needs a band that the cache lacks.
        TrainError: the loss is not finite.
        RunError: the folder holds another run, or cannot be written.
    """
    chosen = objective or DiceCE()
    # Where no teacher answers for it, an image without a labelled pixel teaches nothing, and is not drawn.
    drawn = with_labels(cache, split.train) if soft is None else split.train
    settings = settings.with_weights(cache.source_weights(split.train))
    job = SegmentationJob(
        model=model,
        cache=cache,
        split=split,
        settings=settings,
        folder=Path(folder),
        targets=targets(chosen, "labels only" if soft is None else type(soft).__qualname__, origin),
    )
    check_model(model, cache, patch_size=settings.patch_size)

    def start() -> tuple[SegmentationTask, Cut]:
        check_split(cache, split, labelled=soft is None)
        cut = patches(_sampler(cache, drawn, settings, soft), channels(model, cache))
        measure_norms(model, cut, origin)
        return SegmentationTask(model, chosen, settings), cut

    return train(job, start)


def _sampler(cache: PackedCache, ids: Sequence[str], settings: FitSettings, soft: SoftTargets | None) -> PatchSampler:
    return PatchSampler(
        cache,
        ids,
        patch_size=settings.patch_size,
        batch_size=settings.batch_size,
        foreground_share=settings.foreground_share,
        seed=settings.seed,
        source_weights=settings.source_weights,
        soft=soft,
    )
