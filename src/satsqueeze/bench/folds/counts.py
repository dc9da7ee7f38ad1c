"""What the models of a cross-validation get right and wrong on the validation images of each fold, a file per fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.folds.pooled import Counts, pool, seed_scores, write_counts
from satsqueeze.bench.row import Score
from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import LabelError
from satsqueeze.core.metrics import confusion, scores_of
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.scoring.evaluate import ScoreSettings, merged, predictions
from satsqueeze.learn.scoring.segmenter import Segmenter, classes_of

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
        buffer_m: metres by which masks are also widened and counted once more; 0 for not.
    """

    def __init__(self, folder: Path, cache: PackedCache, folds: Sequence[Split], buffer_m: float = 0.0) -> None:
        self.folder, self.cache, self.folds = folder, cache, folds
        self.widths = (0.0, buffer_m) if buffer_m else (0.0,)

    def missing(self, candidate: Candidate) -> tuple[int, ...]:
        """Folds that the candidate has no counts of."""
        return tuple(
            fold
            for fold in range(len(self.folds))
            if not all(self._path(candidate, fold, width).exists() for width in self.widths)
        )

    def score(self, candidate: Candidate, fold: int, model: Segmenter, *, mirror: bool, window: int) -> float:
        """Count a network's predictions in windows of ``window`` px, mirrored or not; returns the global Jaccard.

        Raises:
            LabelError: the network knows other classes than the data.
        """
        if merged(model, self.cache):
            raise LabelError(
                f"{candidate.name} knows the classes {', '.join(classes_of(model) or ())}, the data has "
                f"{', '.join(self.cache.classes)}; folds are counted class by class: give it the data's classes"
            )
        how = ScoreSettings(window=window, mirror=mirror)
        found = predictions(model, self.cache, self.folds[fold].validation, how)
        counts = self._record(candidate, fold, ((one.id, one.mask) for one in found))
        return scores_of(np.sum(list(counts.values()), axis=0), self.cache.foreground).jaccard

    def count(self, candidate: Candidate, fold: int, answer: Answer) -> None:
        """Count answers for whole images."""
        images = self.folds[fold].validation
        self._record(candidate, fold, ((item, answer(self.cache.position(item))) for item in images))

    def scores(self, seeds: Sequence[Candidate], *, mirrored: bool = False) -> tuple[Score, ...]:
        """Scores over all folds together, and their spread over seeds of one network; last those with the buffer.

        Args:
            seeds: at least one, without a missing fold.
            mirrored: whether they were asked about mirror images, too; for the record.

        Raises:
            SplitError: an image was validated on twice.
        """
        found: list[Score] = []
        for width in self.widths:
            pooled = [pool([self._path(one, fold, width) for fold in range(len(self.folds))]) for one in seeds]
            widened = f", masks widened by {width:g} m" if width else ""
            protocol = f"{len(self.folds)}-fold by scene, pooled{widened}"
            found += seed_scores(pooled, self.cache.foreground, protocol)
        # Beside the scores, since rows are compared by their protocols.
        how = {"mirror_images": 4.0} if mirrored else {}
        return tuple(one.model_copy(update={"further": {**one.further, **how}}) for one in found)

    def _record(self, candidate: Candidate, fold: int, masks: Iterable[tuple[str, NDArray[np.uint8]]]) -> Counts:
        """Count masks by image, with each width of the buffer; returns the counts without it."""
        counts: dict[float, Counts] = {width: {} for width in self.widths}
        for item, mask in masks:
            position = self.cache.position(item)
            truth, gsd_m = self.cache.label(position), self.cache.entries[position].gsd_m
            for width, found in counts.items():
                widened = Buffer.on_ground(width, gsd_m, self.cache.foreground).widen(mask)
                found[item] = confusion(truth, widened, len(self.cache.classes))
        for width, found in counts.items():
            write_counts(self._path(candidate, fold, width), found)
        return counts[0.0]

    def _path(self, candidate: Candidate, fold: int, width: float) -> Path:
        widened = f"_buffer_{width:g}m" if width else ""
        return self.folder / candidate.name / f"{candidate.precision}_seed_{candidate.seed}_fold_{fold}{widened}.json"
