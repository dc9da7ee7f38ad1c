"""What the models of a cross-validation get right and wrong on the validation images of each fold, a file per fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.pooled import pool, seed_scores, write_counts
from satsqueeze.bench.row import Score
from satsqueeze.core.metrics import confusion
from satsqueeze.data.cache import PackedCache
from satsqueeze.data.splits import Split
from satsqueeze.learn.evaluate import score
from satsqueeze.learn.segmenter import Segmenter

Answer = Callable[[int], NDArray[np.uint8]]
"""Classes (H, W) of the image at a position of the cache."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model of a cross-validation: in each fold another training of the same network."""

    name: str
    precision: str = "fp32"
    seed: int = 0


class FoldCounts:
    """Counts by candidate and fold; what has been counted is not counted again.

    Args:
        folder: of the files; created when needed.
        cache: the images and their labels.
        folds: each with the images to be scored on.
    """

    def __init__(self, folder: Path, cache: PackedCache, folds: Sequence[Split]) -> None:
        self.folder, self.cache, self.folds = folder, cache, folds

    def missing(self, candidate: Candidate) -> tuple[int, ...]:
        """Folds that the candidate has no counts of."""
        return tuple(fold for fold in range(len(self.folds)) if not self._path(candidate, fold).exists())

    def score(self, candidate: Candidate, fold: int, model: Segmenter, *, mirror: bool, window: int) -> float:
        """Count a network's predictions in windows of ``window`` px, mirrored or not; returns the global Jaccard."""
        found = score(model, self.cache, self.folds[fold].validation, mirror=mirror, window=window)
        write_counts(self._path(candidate, fold), found.metrics.images)
        return found.jaccard

    def count(self, candidate: Candidate, fold: int, answer: Answer) -> None:
        """Count answers for whole images."""
        counts = {}
        for item in self.folds[fold].validation:
            position = self.cache.position(item)
            counts[item] = confusion(self.cache.label(position), answer(position), len(self.cache.classes))
        write_counts(self._path(candidate, fold), counts)

    def scores(self, seeds: Sequence[Candidate]) -> tuple[Score, ...]:
        """Scores over all folds together, and their spread over seeds of one network.

        Args:
            seeds: at least one, without a missing fold.

        Raises:
            SplitError: an image was validated on twice.
        """
        pooled = [pool([self._path(one, fold) for fold in range(len(self.folds))]) for one in seeds]
        return seed_scores(pooled, self.cache.foreground, f"{len(self.folds)}-fold by scene, pooled")

    def _path(self, candidate: Candidate, fold: int) -> Path:
        return self.folder / candidate.name / f"{candidate.precision}_seed_{candidate.seed}_fold_{fold}.json"
