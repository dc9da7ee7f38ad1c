"""The training stage for whole images: a network of the zoo on prepared data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from satsqueeze.core.class_thresholds import DEFAULT_THRESHOLD
from satsqueeze.core.errors import SplitError
from satsqueeze.core.files import read_json
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.fit_classifier import fit_classifier
from satsqueeze.learn.scoring.classify import score_classes
from satsqueeze.learn.training import METRICS_FILE, FitResult
from satsqueeze.nets.card import ModelCard, Task
from satsqueeze.nets.classifier import FAMILY, ClassifierConfig
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.transfer import TOLERANCE_NM, TransferReport, start_from_run


def classifier_card(model: str, prepared: ClassPrepared, *, dropout: float = 0.0, name: str = "") -> ModelCard:
    """The card of a network of the zoo for the bands, classes, size and task of prepared data.

    Args:
        model: a name of the zoo.
        prepared: images and the statistics of those to train on.
        dropout: see :class:`satsqueeze.nets.classifier.ClassifierConfig`.
        name: of the card; by default the network's.

    Raises:
        GridError: the images differ in size.
    """
    cache = prepared.cache
    config = ClassifierConfig(
        model=model,
        in_channels=len(cache.bands),
        classes=len(cache.classes),
        size=max(cache.stack.shape[2:]),
        dropout=dropout,
    )
    return ModelCard(
        name=name or model,
        family=FAMILY,
        config=config,
        scaling=prepared.scaling,
        bands=cache.bands,
        classes=cache.classes,
        foreground=(),
        task=cast("Task", cache.task),
    )


def train_classifier(
    card: ModelCard,
    prepared: ClassPrepared,
    settings: ClassFitSettings,
    folder: Path,
    *,
    init: Path | None = None,
    tolerance_nm: float = TOLERANCE_NM,
    on_start: Callable[[TransferReport], None] = lambda _: None,
) -> FitResult:
    """Train the model of a card; resumes, and returns at once where it is finished.

    Args:
        card: of the model.
        prepared: images and their split.
        settings: their seed draws the weights.
        folder: where results go.
        init: run whose weights are taken over where they fit; see :func:`satsqueeze.nets.transfer.transfer`.
        tolerance_nm: largest difference of centre wavelengths in nanometres, for ``init``.
        on_start: told what was taken over.

    Raises:
        SettingsError: an unknown network, or one that ``init`` does not fit.
        BandError: no band has a counterpart in ``init``.
        GridError: a size that the network cannot take.
        TrainError, RunError: see :func:`satsqueeze.learn.fit_classifier.fit_classifier`.
    """
    model, origin = build_model(card, seed=settings.seed), None
    if init is not None:
        origin = start_from_run(init, model, tolerance_nm=tolerance_nm)
        on_start(origin)
    return fit_classifier(model, prepared.cache, prepared.split, settings, folder, origin=origin)


def thresholds_of(folder: Path) -> tuple[float, ...]:
    """Thresholds of a trained multi-label model, tuned on validation images; empty for other models."""
    validation: dict[str, Any] = read_json(folder / METRICS_FILE)["validation"] or {}
    return tuple(validation.get("thresholds", ()))


def score_on_test(folder: Path, prepared: ClassPrepared, *, model: SegmentationModel | None = None) -> dict[str, Any]:
    """Metrics of a trained model on the test images, on which nothing was chosen.

    Where no validation images told the thresholds of several labels, they are 0.5.

    Args:
        folder: of the training.
        prepared: what it was trained on.
        model: the trained model, where it is at hand.

    Raises:
        SplitError: the split has no test images.
        RunError: training has not finished there.
    """
    if not prepared.split.test:
        raise SplitError("the split has no test images; give the test part a share")
    thresholds = thresholds_of(folder) or (DEFAULT_THRESHOLD,) * len(prepared.cache.classes)
    return score_classes(model or load_model(folder), prepared.cache, prepared.split.test, thresholds=thresholds)
