"""Scoring a flight package that decides on whole images, on any data set, as it flies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from satsqueeze.bench.class_images import (
    ScoredImage,
    class_places,
    decisions_of,
    left_out,
    read_images,
    scored_items,
    truth_of,
)
from satsqueeze.core.class_metrics import ClassMetrics
from satsqueeze.core.errors import DataError
from satsqueeze.data.dataset import Dataset
from satsqueeze.flight.classifier import BATCH, FlightClassifier

Progress = Callable[[int, int], None]


def evaluate_classes(
    model: FlightClassifier, dataset: Dataset, *, limit: int | None = None, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Score a package on the images of a data set, in batches, with memory that does not grow with the images.

    An image that cannot be read, has another size than the package takes, or names an unknown class is left out and
    listed, and the job goes on. Classes are matched by name. Sources of role ``train`` are left out.

    Args:
        model: an opened package.
        dataset: labels of whole images.
        limit: score the first ``limit`` images only.
        on_progress: called with (done, all) after each image.

    Returns:
        JSON-ready record: that of :class:`satsqueeze.core.class_metrics.ClassMetrics`, with ``precision``, ``recall``,
        ``f1`` and ``f2`` the averages weighted by class, ``sources`` with their accuracy, ``classes``, ``quarantined``
        with file and reason, ``package``, ``graph``, ``graph_precision``, ``engine``, ``cards``, ``notes`` and
        ``protocol`` in words. Undefined scores are None.

    Raises:
        LabelError: labels for another task, or classes that the package does not know.
        DataError: no image, or none that could be scored.
    """
    places = class_places(model, dataset)
    items = scored_items(dataset, limit=limit)
    tally = _Tally(model)
    for done, found in enumerate(read_images(items, model, places), start=1):
        tally.add(found)
        if on_progress is not None:
            on_progress(done, len(items))
    tally.flush()
    if not tally.metrics.images:
        first = tally.quarantined[0]
        raise DataError(f"none of {len(items)} images could be scored; the first, {first['file']}: {first['reason']}")
    return {
        **tally.to_dict(),
        "task": model.manifest.task,
        "classes": list(model.classes),
        "package": model.manifest.name,
        "graph": model.graph.file,
        "graph_precision": model.graph.precision,
        "engine": model.engine.name,
        "cards": sorted({item.card.name for item in items}),
        "notes": list(model.notes),
        "protocol": _protocol(model, tally),
    }


@dataclass
class _Tally:
    model: FlightClassifier
    quarantined: list[dict[str, str]] = field(default_factory=list)
    _waiting: list[ScoredImage] = field(default_factory=list)
    _sources: dict[str, list[bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = ClassMetrics(self.model.classes, multi_label=self.model.is_multi_label)

    @property
    def sources(self) -> dict[str, dict[str, float | int]]:
        """Accuracy and number of images of each source."""
        return {
            name: {"accuracy": float(np.mean(right)), "images": len(right)}
            for name, right in sorted(self._sources.items())
        }

    def add(self, found: ScoredImage | dict[str, str]) -> None:
        """Take in an image or why it is left out; predict when a batch is full."""
        if isinstance(found, dict):
            self.quarantined.append(found)
            return
        self._waiting.append(found)
        if len(self._waiting) == BATCH:
            self.flush()

    def flush(self) -> None:
        """Predict and count the images that wait."""
        if not self._waiting:
            return
        images, self._waiting = self._waiting, []
        try:
            self._count(images)
        except DataError as error:
            if len(images) == 1:
                self.quarantined.append(left_out(images[0].item, error))
                return
            # One image spoils the batch: find it.
            for image in images:
                self._waiting = [image]
                self.flush()

    def to_dict(self) -> dict[str, Any]:
        record = self.metrics.to_dict()
        headline = {key: record[f"{key}_weighted"] for key in ("precision", "recall", "f1", "f2")}
        return {**record, **headline, "sources": self.sources, "quarantined": self.quarantined}

    def _count(self, images: Sequence[ScoredImage]) -> None:
        found = self.model.classify(
            np.stack([image.values for image in images]),
            self.model.bands,
            valid=np.stack([image.valid for image in images]),
        )
        truth, decided = truth_of(images, len(self.model.classes)), decisions_of(found, self.model)
        self.metrics.update(truth, found.probabilities, predicted=decided)
        for image, right in zip(images, (truth == decided).all(axis=1), strict=True):
            self._sources.setdefault(image.item.source, []).append(bool(right))


def _protocol(model: FlightClassifier, tally: _Tally) -> str:
    left_out = f"; {len(tally.quarantined)} left out" if tally.quarantined else ""
    decision = "thresholds of the package" if model.is_multi_label else "arg-max"
    meaning = "all classes of an image right" if model.is_multi_label else "class of an image right"
    return (
        f"accuracy ({meaning}) over {tally.metrics.images} images of {', '.join(tally.sources)}{left_out}; precision, "
        f"recall and F-scores weighted by how often classes occur; {model.graph.precision} graph on "
        f"{model.engine.name}, whole images of {model.size[0]} x {model.size[1]} px, {decision}, no test-time "
        "augmentation"
    )
