"""Scores pooled over the folds of a cross-validation: every image counts once, by a model that never saw its scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.row import ALL_SOURCES, Score
from satsqueeze.core.errors import SplitError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.metrics import Scores, scores_of

Counts = dict[str, NDArray[np.int64]]
"""Confusion counts (K, K) by image; the source is the part of the name before the first slash."""


def write_counts(path: Path, counts: Mapping[str, NDArray[np.int64]]) -> None:
    """Keep the counts of one model on the validation images of one fold."""
    write_json(path, {image: matrix.tolist() for image, matrix in counts.items()})


def pool(paths: Sequence[Path]) -> Counts:
    """The counts of all folds together.

    Raises:
        SplitError: an image was validated on twice.
    """
    pooled: Counts = {}
    for path in paths:
        for image, matrix in read_json(path).items():
            if image in pooled:
                raise SplitError(
                    f"{image} was validated on in more than one fold; remove {path.parent} and score again"
                )
            pooled[image] = np.asarray(matrix, np.int64)
    return pooled


def seed_scores(seeds: Sequence[Counts], foreground: Sequence[int], protocol: str) -> tuple[Score, ...]:
    """Global Jaccard over all sources, then of each: mean and standard deviation over seeds.

    Args:
        seeds: pooled counts, one per seed, over the same images.
        foreground: positive classes.
        protocol: short name.
    """
    sources = sorted({_source(image) for image in seeds[0]})
    return tuple(_score(seeds, foreground, protocol, source) for source in (ALL_SOURCES, *sources))


def _score(seeds: Sequence[Counts], foreground: Sequence[int], protocol: str, source: str) -> Score:
    parts = [[m for image, m in counts.items() if source in (ALL_SOURCES, _source(image))] for counts in seeds]
    found = [scores_of(np.sum(part, axis=0), foreground) for part in parts]
    jaccards = [scores.jaccard for scores in found]
    per_image = [scores_of(matrix, foreground).jaccard for part in parts for matrix in part]
    return Score(
        protocol=protocol,
        source=source,
        jaccard=_mean(jaccards),
        spread=float(np.std(jaccards, ddof=1)) if len(jaccards) > 1 else None,
        seeds=len(seeds),
        images=len(parts[0]),
        further={
            **{name: _mean([getattr(s, name) for s in found]) for name in _FURTHER},
            "jaccard_per_image_mean": _mean(per_image),
            "jaccard_per_image_std": float(np.nanstd(per_image)) if np.isfinite(per_image).any() else None,
        },
    )


_FURTHER = tuple(name for name in Scores.__dataclass_fields__ if name not in ("jaccard", "pixels"))


def _mean(values: Sequence[float]) -> float | None:
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else None


def _source(image: str) -> str:
    return image.split("/", 1)[0]
