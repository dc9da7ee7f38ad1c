"""Training networks that decide on whole images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import GridError, SettingsError, SplitError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.class_sampler import Answers, ClassSampler
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.augment.images import ClassAugmentSettings
from satsqueeze.learn.class_losses import ClassObjective, LabelLoss
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_task import ClassTask
from satsqueeze.learn.feed import whole_images
from satsqueeze.learn.guide import Guide
from satsqueeze.learn.job import Job
from satsqueeze.learn.norm_statistics import measure_norms
from satsqueeze.learn.scoring.classify import score_classes
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.learn.training import Cut, FitResult, described, targets, train
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.transfer_report import TransferReport

__all__ = ["ClassAugmentSettings", "ClassFitSettings", "FitResult", "fit_classifier"]


@dataclass(kw_only=True)
class ClassJob(Job):
    """Training to decide on whole images."""

    settings: ClassFitSettings

    @property
    def headline(self) -> str:
        """Accuracy; mean average precision where an image has any number of classes."""
        return "mean_average_precision" if self.cache.task == "multi-label" else "accuracy"

    def score(self, model: SegmentationModel, *, final: bool) -> dict[str, Any]:
        """See :meth:`Job.score`."""
        precision = "fp32" if final else self.settings.precision
        return score_classes(model, self.cache, self.split.validation, precision=precision)


def fit_classifier(
    model: SegmentationModel,
    cache: PackedCache,
    split: Split,
    settings: ClassFitSettings,
    folder: Path | str,
    *,
    objective: ClassObjective | None = None,
    answers: Answers | None = None,
    origin: TransferReport | None = None,
    guide: Guide | None = None,
) -> FitResult:
    """Train a classifier and keep its best weights; resumes and repeats as :func:`satsqueeze.learn.fit.fit` does.

    The best epoch is the one with the highest validation accuracy, or mean average precision with several labels. Then
    ``metrics.json`` holds thresholds that were tuned on the validation images.

    Args:
        model: its weights are the start.
        cache: images of one size with their classes; bands are handed over by name.
        split: which images to train on and which to validate with; the latter may be none, then the last weights stay.
        settings: see there.
        folder: where results go; created if absent.
        objective: what to minimise; by default cross-entropy, binary with several labels, with label smoothing.
        answers: teachers' logits for the objective.
        origin: where the model's weights come from, which tells what ``freeze_epochs`` freezes.
        guide: what the features of one of the model's layers follow besides.

    Raises:
        SettingsError: the model is for another task, or has other classes than the cache; or something is to be frozen
            that comes from nowhere; or a guide along with mixup or a compiled network.
        SplitError: no image to train on.
        GridError: the images differ in size, or have another one than the network takes.
        BandError: the model needs a band that the cache lacks.
        DataError: an image is not in the cache.
        TrainError: the loss is not finite.
        RunError: the folder holds another run, or cannot be written.
    """
    check_classifier(model, cache)
    _check_request(split, settings, origin, guide)
    settings = settings.for_images(len(split.train))
    chosen = objective or LabelLoss(multi_label=cache.task == "multi-label", smoothing=settings.label_smoothing)
    job = ClassJob(
        model=model,
        cache=cache,
        split=split,
        settings=settings,
        folder=Path(folder),
        targets=_targets(chosen, answers, origin, guide),
    )

    def start() -> tuple[ClassTask, Cut]:
        sampler = _sampler(cache, split, settings, answers, guide)
        held: frozenset[str] = frozenset() if origin is None else origin.held
        cut = whole_images(sampler, channels(model, cache))
        measure_norms(model, cut, origin)
        return ClassTask(model, chosen, settings, held=held, guide=guide), cut

    return train(job, start)


def check_classifier(model: SegmentationModel, cache: PackedCache) -> None:
    """Refuse a model that cannot be trained on a cache.

    Raises:
        SettingsError: the model is for another task, or has other classes than the cache.
        GridError: the images differ in size, or have another one than the network takes.
    """
    card = model.card
    if card.task != cache.task:
        raise SettingsError(
            f"the network is for {card.task}, the data set for {cache.task}; build the network for the task of the data"
        )
    if card.classes != cache.classes:
        raise SettingsError(
            f"the network has the classes {', '.join(card.classes)}, the cache {', '.join(cache.classes)}; build the "
            "network for the classes of the cache"
        )
    size = cache.stack.shape[2:]
    if isinstance(card.config, ClassifierConfig) and size != (card.config.size, card.config.size):
        square = f"build it with size {size[0]}, or resample the images"
        raise GridError(
            f"the network is for images of {card.config.size} x {card.config.size} px, the data set has {size[0]} x "
            f"{size[1]} px; {square if size[0] == size[1] else 'cut or resample the images to squares'}"
        )


def _check_request(
    split: Split, settings: ClassFitSettings, origin: TransferReport | None, guide: Guide | None
) -> None:
    if not split.train:
        raise SplitError("there is no image to train on; the split's training side is empty")
    if settings.freeze_epochs and (origin is None or not origin.held):
        raise SettingsError(
            f"freeze_epochs is {settings.freeze_epochs}, but no weights were taken over that could be kept; start from "
            "another run (--init), or set it to 0"
        )
    if guide is not None and (settings.augment.mixup or settings.compile):
        raise SettingsError(
            "a layer of the network is guided by maps of single images; set mixup to 0 and compile to false, or train "
            "without attention"
        )


def _targets(
    objective: ClassObjective, answers: Answers | None, origin: TransferReport | None, guide: Guide | None
) -> str:
    """What is minimised, for the fingerprint."""
    source = "labels only" if answers is None else described(answers)
    return targets(objective, source if guide is None else f"{source}, {described(guide)}", origin)


def _sampler(
    cache: PackedCache, split: Split, settings: ClassFitSettings, answers: Answers | None, guide: Guide | None
) -> ClassSampler:
    return ClassSampler(
        cache,
        split.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        views=settings.augment.views,
        answers=answers,
        maps=guide,
    )
