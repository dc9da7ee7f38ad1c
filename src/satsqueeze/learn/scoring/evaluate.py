"""One scoring path for networks, ensembles and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.metrics import CalibrationError, Scores, SegmentationMetrics
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.learn.scoring.postprocess import PostProcessing
from satsqueeze.learn.scoring.segmenter import Precision, Segmenter, bands_of, classes_of, foreground_of
from satsqueeze.learn.scoring.sliding import mask_of, predict_logits, probabilities_of


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How images are predicted for a score."""

    window: int = 512
    """Side of the sliding windows in pixels."""
    overlap: float = 0.5
    """Share of a window that its neighbour covers too."""
    mirror: bool = False
    """Average over mirror images."""
    precision: Precision = "fp32"
    """Of the network while it is scored."""
    postprocess: PostProcessing = PostProcessing()  # noqa: RUF009 - frozen
    """What is done to masks; probabilities, and with them the calibration error, stay."""


@dataclass
class Evaluation:
    """Scores of a model on labelled images."""

    metrics: SegmentationMetrics
    """Global scores, and by scene."""
    calibration: CalibrationError = field(default_factory=CalibrationError)
    sources: dict[str, SegmentationMetrics] = field(default_factory=dict)
    """Metrics of each data source on its own."""

    @property
    def jaccard(self) -> float:
        """Global Jaccard of the foreground; NaN where neither truth nor prediction has any."""
        return self.metrics.overall().jaccard

    def overall(self) -> Scores:
        """Global scores of the foreground."""
        return self.metrics.overall()

    def update(self, image: Prediction) -> None:
        """Add one image."""
        group = " + ".join(image.groups) or image.source
        empty = SegmentationMetrics(self.metrics.classes, self.metrics.foreground)
        self.metrics.update(image.truth, image.mask, image=image.id, group=group)
        self.sources.setdefault(image.source, empty).update(image.truth, image.mask, image=image.id, group=group)
        self.calibration.update(image.truth, image.probabilities)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready record: the metrics, the calibration error, and the global scores of each source."""
        error = self.calibration.value()
        sources = {name: metrics.to_dict() for name, metrics in sorted(self.sources.items())}
        brief = {name: {k: v for k, v in record.items() if k != "groups"} for name, record in sources.items()}
        return {
            **self.metrics.to_dict(),
            "calibration_error": None if np.isnan(error) else error,
            "sources": brief,
        }


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one labelled image."""

    id: str
    source: str
    groups: tuple[str, ...]
    truth: NDArray[np.uint8]
    """uint8 (H, W), 255 = does not count."""
    probabilities: NDArray[np.float32]
    """float32 (K, H, W)."""
    mask: NDArray[np.uint8]
    """uint8 (H, W): the class of the highest logit, or what post-processing made of it."""


def score(
    model: Segmenter,
    cache: PackedCache,
    ids: Sequence[str],
    *,
    settings: ScoreSettings = ScoreSettings(),
) -> Evaluation:
    """Score a model on labelled images of a cache.

    The bands are handed over by name. A model whose classes are not those of the cache is scored on foreground against
    the rest, as either side defines it.

    Args:
        model: see :class:`~satsqueeze.learn.scoring.segmenter.Segmenter`.
        cache: images and labels.
        ids: images to score; those without a labelled pixel are passed over.
        settings: how they are predicted.

    Raises:
        SplitError: no image has a labelled pixel.
        BandError: the model needs a band that the cache lacks.
    """
    evaluation = empty_evaluation(model, cache)
    for prediction in predictions(model, cache, ids, settings):
        evaluation.update(prediction)
    if not evaluation.metrics.per_image():
        raise SplitError(f"none of the {len(ids)} images to score has a labelled pixel; choose images with labels")
    return evaluation


def empty_evaluation(model: object, cache: PackedCache) -> Evaluation:
    """An evaluation that fits the predictions of a model on a cache; see :func:`predictions`."""
    if merged(model, cache):
        return Evaluation(SegmentationMetrics(2, (1,)))
    return Evaluation(SegmentationMetrics(len(cache.classes), tuple(cache.foreground)))


def merged(model: object, cache: PackedCache) -> bool:
    """Whether the model's classes differ from the cache's, so that only foreground against the rest compares."""
    classes = classes_of(model)
    return classes is not None and classes != tuple(cache.classes)


def predictions(
    model: Segmenter, cache: PackedCache, ids: Sequence[str], settings: ScoreSettings
) -> Iterator[Prediction]:
    """Predict labelled images one after another; those without a labelled pixel are passed over.

    Raises:
        BandError: the model needs a band that the cache lacks.
        SettingsError: the model has other classes than the cache and names no foreground.
    """
    positions = channels(model, cache)
    foreground = _foreground(model) if merged(model, cache) else None
    for identifier in ids:
        index = cache.position(identifier)
        entry, truth = cache.entries[index], cache.label(index)
        if not (truth != IGNORE).any():
            continue
        image = cache.image(index)
        logits = predict_logits(
            model,
            image if positions is None else image[positions],
            window=settings.window,
            overlap=settings.overlap,
            mirror=settings.mirror,
            precision=settings.precision,
        )
        probabilities = probabilities_of(logits)
        mask = settings.postprocess.apply(mask_of(logits), foreground_of(model) or cache.foreground)
        if foreground is not None:
            probabilities = _foreground_probabilities(probabilities, foreground)
            truth = np.where(truth == IGNORE, IGNORE, np.isin(truth, cache.foreground)).astype(np.uint8)
            mask = np.isin(mask, foreground).astype(np.uint8)
        yield Prediction(
            id=entry.id,
            source=entry.source,
            groups=tuple(entry.groups),
            truth=truth,
            probabilities=probabilities,
            mask=mask,
        )


def channels(model: object, cache: PackedCache) -> list[int] | None:
    """Channels of the cache that the model takes, in its order; None where they are all, in the cache's order.

    Raises:
        BandError: the model needs a band that the cache lacks.
    """
    bands = bands_of(model)
    if bands is None or bands == tuple(cache.bands):
        return None
    return band_positions(cache.bands, bands)


def _foreground(model: object) -> tuple[int, ...]:
    found = foreground_of(model)
    if found is None:
        raise SettingsError("the model has other classes than the cache and does not say which are its foreground")
    return found


def _foreground_probabilities(probabilities: NDArray[np.float32], foreground: Sequence[int]) -> NDArray[np.float32]:
    positive = probabilities[list(foreground)].sum(axis=0)
    return np.stack([1 - positive, positive]).astype(np.float32)
