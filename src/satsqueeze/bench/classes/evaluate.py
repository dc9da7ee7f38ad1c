"""Scoring a flight package that decides on whole images, on any data set, as it flies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from satsqueeze.bench.classes.image_pass import ClassPass, Progress
from satsqueeze.bench.classes.images import ScoredImage, decisions_of, truth_of
from satsqueeze.bench.evaluation import scored_with
from satsqueeze.core.class_metrics import ClassMetrics
from satsqueeze.data.dataset import Dataset
from satsqueeze.flight.classifier import FlightClassifier


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
    images = ClassPass(model, dataset, limit=limit)
    tally = tallied(model, images, on_progress)
    return {
        **tally.to_dict(),
        "quarantined": images.quarantined,
        "task": model.manifest.task,
        "classes": list(model.classes),
        **scored_with(model, images.items),
        "protocol": _protocol(model, tally, len(images.quarantined)),
    }


def tallied(model: FlightClassifier, images: ClassPass, on_progress: Progress | None = None) -> ClassTally:
    """What a package says of images, counted.

    Raises:
        DataError: none of them could be scored.
    """
    tally = ClassTally(model)
    for batch in images.batches(on_progress):
        images.counted(batch, tally.count)
    return tally


@dataclass
class ClassTally:
    """Scores of a package on images that it has been asked about so far."""

    model: FlightClassifier
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record; averages weighted by class stand under the plain names."""
        record = self.metrics.to_dict()
        headline = {key: record[f"{key}_weighted"] for key in ("precision", "recall", "f1", "f2")}
        return {**record, **headline, "sources": self.sources}

    def count(self, images: Sequence[ScoredImage]) -> None:
        """Predict images and take their answers in."""
        found = self.model.classify(
            np.stack([image.values for image in images]),
            self.model.bands,
            valid=np.stack([image.valid for image in images]),
        )
        truth, decided = truth_of(images, len(self.model.classes)), decisions_of(found, self.model)
        self.metrics.update(truth, found.probabilities, predicted=decided)
        for image, right in zip(images, (truth == decided).all(axis=1), strict=True):
            self._sources.setdefault(image.item.source, []).append(bool(right))


def _protocol(model: FlightClassifier, tally: ClassTally, quarantined: int) -> str:
    left_out = f"; {quarantined} left out" if quarantined else ""
    decision = "thresholds of the package" if model.is_multi_label else "arg-max"
    meaning = "all classes of an image right" if model.is_multi_label else "class of an image right"
    return (
        f"accuracy ({meaning}) over {tally.metrics.images} images of {', '.join(tally.sources)}{left_out}; precision, "
        f"recall and F-scores weighted by how often classes occur; {model.graph.precision} graph on "
        f"{model.engine.name}, whole images of {model.size[0]} x {model.size[1]} px, {decision}, no test-time "
        "augmentation"
    )
