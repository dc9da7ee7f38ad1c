"""Which clean-up of masks helps on validation images, if any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.metrics import SegmentationMetrics
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.scoring.evaluate import ScoreSettings, predictions
from satsqueeze.learn.scoring.postprocess import PostProcessing
from satsqueeze.learn.stage import load_folds

SMALLEST_TRIED = (4, 16, 64)
"""Sizes in pixels below which components are removed, as candidates."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was tried, and what of it helps."""

    adopted: PostProcessing
    """No step where nothing improved the score, or where there is nothing to score."""
    before: float
    """Global foreground Jaccard without post-processing; NaN where neither labels nor masks hold any foreground."""
    tried: tuple[tuple[PostProcessing, float], ...]
    """Candidates, and the Jaccard of each."""

    @property
    def after(self) -> float:
        """Global foreground Jaccard with what was adopted."""
        return dict(self.tried).get(self.adopted, self.before)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record."""
        return {
            "adopted": asdict(self.adopted),
            "jaccard_before": self.before,
            "jaccard_after": self.after,
            "tried": [{**asdict(candidate), "jaccard": jaccard} for candidate, jaccard in self.tried],
        }


def decide(masks: Mapping[str, NDArray[np.uint8]], cache: PackedCache) -> Decision:
    """Try each clean-up on top of the best so far and adopt what strictly raises the global foreground Jaccard.

    First the largest component of all foreground, then of each class, then smallest sizes: the order of nnU-Net's
    ``determine_postprocessing``, which knows no smallest sizes.

    Args:
        masks: uint8 (H, W) classes of the cache, by the image's id; of networks that have not seen the image.
        cache: labels.

    Raises:
        SettingsError: the cache has no foreground.
    """
    foreground = tuple(cache.foreground)
    if not foreground:
        raise SettingsError("post-processing needs a foreground class, got none")
    adopted, tried = PostProcessing(), list[tuple[PostProcessing, float]]()
    before = best = _jaccard(masks, cache, adopted)
    for change in _candidates(foreground) if not np.isnan(before) else ():
        steps = adopted + change
        value = _jaccard(masks, cache, steps)
        tried.append((steps, value))
        if value > best:
            adopted, best = steps, value
    return Decision(adopted=adopted, before=before, tried=tuple(tried))


def decide_for_folds(folder: Path, cache: PackedCache, folds: Sequence[Split], *, window: int) -> Decision:
    """The decision by the validation images of all folds, each predicted by the network that has not seen it.

    Args:
        folder: holds the trained folds; predictions average mirror images, as those of their ensemble.
        cache: images and labels.
        folds: what they were trained and validated on.
        window: side of the sliding windows in pixels.

    Raises:
        RunError: a fold is incomplete.
        SettingsError: the cache has no foreground.
    """
    settings = ScoreSettings(window=window, mirror=True)
    masks = {
        found.id: found.mask
        for model, fold in zip(load_folds(folder), folds, strict=True)
        for found in predictions(model, cache, fold.validation, settings)
    }
    return decide(masks, cache)


def _candidates(foreground: Sequence[int]) -> Iterator[PostProcessing]:
    yield PostProcessing(largest_foreground=True)
    for value in foreground:
        yield PostProcessing(largest_of=(value,))
    for pixels in SMALLEST_TRIED:
        yield PostProcessing(min_pixels=pixels)


def _jaccard(masks: Mapping[str, NDArray[np.uint8]], cache: PackedCache, steps: PostProcessing) -> float:
    metrics = SegmentationMetrics(len(cache.classes), tuple(cache.foreground))
    for name, mask in masks.items():
        position = cache.position(name)
        source = cache.entries[position].source
        metrics.update(cache.label(position), steps.apply(mask, cache.foreground), image=name, group=source)
    return metrics.overall().jaccard
