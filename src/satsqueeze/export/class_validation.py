"""How much a classifier's graph loses against its float graph, on validation images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.class_metrics import ClassMetrics, one_hot
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.flight.classifier import ClassPrediction, FlightClassifier
from satsqueeze.flight.engines.by_name import open_engine

Batches = Callable[[], Iterable[NDArray[np.float32]]]
"""All images, float32 reflectance (n, C, H, W) a few at a time, bands in the model's order."""


@dataclass(frozen=True, kw_only=True)
class ClassVerdict:
    """A graph against the float graph on the same images."""

    score: float
    """Accuracy, or micro F1 where an image has any number of classes; against the labels."""
    reference_score: float
    """The float graph's."""
    loss: float
    """``reference_score - score``; negative where the graph is better."""
    agreement: float
    """Share of decisions that are the float graph's."""
    images: int
    metric: str
    """Name of the score."""

    @property
    def summary(self) -> str:
        """The loss in words."""
        return f"{self.loss:.4f} {self.metric} ({self.reference_score:.4f} to {self.score:.4f} against labels)"


class ClassValidator:
    """Judges graphs by what they decide on validation images.

    Args:
        batches: gives all N images, anew for every graph.
        truth: (N, K), nonzero for the classes of each image.
        manifest: draft manifest; its first graph is the float graph.
        folder: where graphs lie.
        threads: of one call; None leaves it to the engine.
    """

    def __init__(
        self,
        batches: Batches,
        truth: NDArray[Any],
        manifest: FlightManifest,
        folder: Path,
        *,
        threads: int | None = None,
    ) -> None:
        self._batches, self._truth, self._manifest, self._threads = batches, truth, manifest, threads
        self._reference = self._found(manifest.graphs[0], folder)
        self._reference_score = self._score(self._reference)

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "micro F1" if self._manifest.task == "multi-label" else "accuracy"

    def judge(self, graph: Graph, folder: Path) -> ClassVerdict:
        """Run ``graph`` on every validation image."""
        found = self._found(graph, folder)
        score = self._score(found)
        return ClassVerdict(
            score=score,
            reference_score=self._reference_score,
            loss=self._reference_score - score,
            agreement=float((found.classes == self._reference.classes).mean()),
            images=len(self._truth),
            metric=self.metric,
        )

    def _found(self, graph: Graph, folder: Path) -> ClassPrediction:
        engine = open_engine(graph.engine, folder / graph.file, threads=self._threads)
        flier = FlightClassifier(self._manifest, graph=graph, engine=engine)
        found = [flier.classify(images, self._manifest.band_names) for images in self._batches()]
        return ClassPrediction(
            classes=np.concatenate([one.classes for one in found]),
            probabilities=np.concatenate([one.probabilities for one in found]),
        )

    def _score(self, found: ClassPrediction) -> float:
        several = self._manifest.task == "multi-label"
        metrics = ClassMetrics(self._manifest.classes, multi_label=several)
        decided = found.classes if several else one_hot(found.classes, len(self._manifest.classes))
        metrics.update(self._truth, found.probabilities, predicted=decided)
        return metrics.micro().f1 if several else metrics.accuracy
