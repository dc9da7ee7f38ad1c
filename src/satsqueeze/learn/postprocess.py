"""Clean-up of masks by connected components, kept only if it helps on validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.core.metrics import SegmentationMetrics
from satsqueeze.data.cache import PackedCache
from satsqueeze.learn.evaluate import Prediction, ScoreSettings, empty_evaluation, predictions
from satsqueeze.learn.segmenter import Segmenter

SMALLEST_TRIED = (4, 16, 64)
"""Component sizes in pixels below which components are removed, as candidates."""


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Steps on a mask, in this order."""

    largest_foreground: bool = False
    """Keep only the largest component of all foreground classes together."""
    largest_of: tuple[int, ...] = ()
    """Classes of which only the largest component is kept."""
    min_pixels: int = 0
    """Components of any foreground class smaller than this become class 0."""

    def apply(self, mask: NDArray[np.uint8], foreground: Sequence[int]) -> NDArray[np.uint8]:
        """A cleaned copy; removed pixels become class 0. Pixels touch by their sides.

        Args:
            mask: uint8 (H, W).
            foreground: classes that count as foreground.
        """
        cleaned = mask.copy()
        if self.largest_foreground:
            cleaned[_all_but_largest(np.isin(cleaned, foreground))] = 0
        for value in self.largest_of:
            cleaned[_all_but_largest(cleaned == value)] = 0
        if self.min_pixels > 1:
            for value in foreground:
                cleaned[_smaller_than(cleaned == value, self.min_pixels)] = 0
        return cleaned


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which post-processing helps, if any."""

    adopted: PostProcessing | None
    """None where nothing improved the validation score."""
    before: float
    """Global foreground Jaccard without post-processing."""
    after: float
    """Global foreground Jaccard with the best candidate, adopted or not."""
    tried: tuple[tuple[PostProcessing, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record."""
        return {
            "adopted": None if self.adopted is None else asdict(self.adopted),
            "jaccard_before": self.before,
            "jaccard_after": self.after,
            "tried": [{**asdict(candidate), "jaccard": jaccard} for candidate, jaccard in self.tried],
        }


def decide(
    model: Segmenter, cache: PackedCache, ids: Sequence[str], *, settings: ScoreSettings | None = None
) -> Decision:
    """Try each clean-up on top of the best so far and adopt what strictly raises the validation Jaccard.

    First the largest component of all foreground, then of each class, then minimum sizes: the order of nnU-Net's
    ``determine_postprocessing``, which knows no minimum sizes.

    Args:
        model: predicts the images once.
        cache: images and labels.
        ids: validation images.
        settings: how they are predicted.

    Raises:
        SplitError: no labelled image, or no foreground in truth and prediction.
    """
    empty = empty_evaluation(model, cache)
    found = list(predictions(model, cache, ids, settings or ScoreSettings()))
    return decide_on(found, classes=empty.metrics.classes, foreground=empty.metrics.foreground)


def decide_on(found: Sequence[Prediction], *, classes: int, foreground: tuple[int, ...]) -> Decision:
    """The decision for predictions at hand; see :func:`decide`."""
    if not foreground:
        raise SettingsError("post-processing needs a foreground class, got none")

    def jaccard(steps: PostProcessing) -> float:
        return _scored(found, steps, classes=classes, foreground=foreground)

    adopted, best = PostProcessing(), jaccard(PostProcessing())
    if np.isnan(best):
        raise SplitError("post-processing cannot be judged: neither labels nor predictions hold any foreground")
    before, tried = best, []
    for stage in _stages(foreground):
        for steps in [_combined(adopted, change) for change in stage]:
            value = jaccard(steps)
            tried.append((steps, value))
            if value > best:
                adopted, best = steps, value
    helped = adopted != PostProcessing()
    after = best if helped else max((value for _, value in tried), default=best)
    return Decision(adopted=adopted if helped else None, before=before, after=after, tried=tuple(tried))


def _stages(foreground: Sequence[int]) -> Iterable[list[PostProcessing]]:
    yield [PostProcessing(largest_foreground=True)]
    for value in foreground:
        yield [PostProcessing(largest_of=(value,))]
    yield [PostProcessing(min_pixels=pixels) for pixels in SMALLEST_TRIED]


def _combined(first: PostProcessing, then: PostProcessing) -> PostProcessing:
    return replace(
        first,
        largest_foreground=first.largest_foreground or then.largest_foreground,
        largest_of=first.largest_of + then.largest_of,
        min_pixels=max(first.min_pixels, then.min_pixels),
    )


def _scored(found: Sequence[Prediction], steps: PostProcessing, *, classes: int, foreground: tuple[int, ...]) -> float:
    metrics = SegmentationMetrics(classes, foreground)
    for prediction in found:
        metrics.update(
            prediction.truth, steps.apply(prediction.mask, foreground), image=prediction.id, group=prediction.source
        )
    return metrics.overall().jaccard


def _all_but_largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, sizes = _components(region)
    if len(sizes) < 2:
        return np.zeros_like(region)
    return np.asarray(region & (labels != 1 + int(sizes.argmax())), np.bool_)


def _smaller_than(region: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    labels, sizes = _components(region)
    small = np.concatenate([[False], sizes < pixels])
    return np.asarray(small[labels], np.bool_)


def _components(region: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    labels, count = ndimage.label(region)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:]
