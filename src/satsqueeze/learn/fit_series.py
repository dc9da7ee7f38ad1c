"""Training networks over dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from typing_extensions import override

from satsqueeze.core.errors import SettingsError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.series_sampler import SeriesSampler
from satsqueeze.data.series import require_lasting_labels, series_of
from satsqueeze.data.splits.place_share import places_with_labels
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.augment.series import SeriesAugmenter
from satsqueeze.learn.job import SegmentationJob
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.norm_statistics import measure_norms
from satsqueeze.learn.precheck import check_model, check_split
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.learn.scoring.series import score_series
from satsqueeze.learn.series_batch import SeriesBatch, series_patches
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.task import TrainingTask
from satsqueeze.learn.training import Cut, FitResult, targets, train
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.transfer_report import TransferReport


class SeriesTask(TrainingTask[SeriesBatch]):
    """Trains a network over dates to segment.

    Args:
        model: trained in place.
        objective: what to minimise.
        settings: see there.
    """

    def __init__(self, model: SegmentationModel, objective: Objective, settings: FitSettings) -> None:
        super().__init__(model, settings)
        self.objective = objective
        self._augment = SeriesAugmenter(settings.augment, scaling=model.card.scaling, seed=settings.seed)

    @override
    def augmented(self, batch: SeriesBatch) -> SeriesBatch:
        """Augmented images, with labels moved alike."""
        return self._augment(batch)

    @override
    def losses(self, batch: SeriesBatch) -> dict[str, Tensor]:
        """The objective's."""
        return self.objective(self._network[0](batch.images, batch.days), batch.labels.long(), None)


def fit_series(
    model: SegmentationModel,
    cache: PackedCache,
    split: Split,
    settings: FitSettings,
    folder: Path | str,
    *,
    dates: int,
    objective: Objective | None = None,
    origin: TransferReport | None = None,
) -> FitResult:
    """Train a network over dates and keep its best weights; it resumes as :func:`satsqueeze.learn.fit.fit` does.

    Args:
        model: of the family ``series-unet``; its weights are the start.
        cache: images and labels, whose entries state their series and dates.
        split: which dates to train on and which to validate with; all dates of a place are on one side.
        settings: see there; a batch holds so many places.
        folder: where results go; created if absent.
        dates: largest number of dates that a step reads of a place; validation reads all.
        objective: what to minimise; by default Dice + cross-entropy.
        origin: where the model's weights come from, if not from its seed.

    Raises:
        SettingsError: a network of one date, or as ``fit``.
        DataError, GridError: see :func:`satsqueeze.data.series.series_of`.
        LabelError: labels change from date to date.
        SplitError, BandError, TrainError, RunError: as ``fit``.
    """
    if model.card.family != SERIES_FAMILY:
        raise SettingsError(f"{model.card.name} reads one date; series train a network of the family {SERIES_FAMILY!r}")
    chosen = objective or DiceCE()
    drawn = places_with_labels(cache, split.train)
    settings = settings.with_weights(cache.source_weights(split.train))
    job = SegmentationJob(
        scorer=score_series,
        model=model,
        cache=cache,
        split=split,
        settings=settings,
        folder=Path(folder),
        targets=targets(chosen, f"series of up to {dates} dates", origin),
    )
    check_model(model, cache, patch_size=settings.patch_size)

    def start() -> tuple[SeriesTask, Cut]:
        check_split(cache, split)
        require_lasting_labels(cache, series_of(cache, (*split.train, *split.validation)))
        cut = series_patches(_sampler(cache, drawn, settings, dates), channels(model, cache))
        measure_norms(model, cut, origin)
        return SeriesTask(model, chosen, settings), cut

    return train(job, start)


def _sampler(cache: PackedCache, ids: Sequence[str], settings: FitSettings, dates: int) -> SeriesSampler:
    return SeriesSampler(
        cache,
        ids,
        patch_size=settings.patch_size,
        batch_size=settings.batch_size,
        dates=dates,
        seed=settings.seed,
        foreground_share=settings.foreground_share,
        source_weights=settings.source_weights,
    )
