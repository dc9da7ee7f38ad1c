"""How much a graph loses against the float graph, on validation images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.metrics import SegmentationMetrics, mean_jaccard
from satsqueeze.export.samples import Sample
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.runtime import DEFAULT_WINDOW, FlightModel


class Judgement(Protocol):
    """A graph against the float graph on the same images; a frozen record."""

    @property
    def loss(self) -> float:
        """Of the score that is guarded; negative where the graph is better."""
        ...

    @property
    def summary(self) -> str:
        """The loss in words."""
        ...


class Judge(Protocol):
    """Judges graphs by what they give on validation images."""

    def judge(self, graph: Graph, folder: Path) -> Judgement:
        """Run ``graph``, which lies in ``folder``, on every validation image."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A graph against the float graph on the same images."""

    jaccard: float
    """Global Jaccard of the foreground classes, or where there are none the mean over classes."""
    reference_jaccard: float
    """The float graph's."""
    loss: float
    """Of ``jaccard``, or of ``class_jaccard`` if there are more than two classes and it loses more; negative where the
    graph is better."""
    agreement: float
    """Share of pixels with the float graph's class, missing ones among them."""
    images: int
    truth: str
    """What the Jaccard is measured against: ``labels``, or ``float graph`` where there are no labels."""
    class_jaccard: float = float("nan")
    """Mean over classes, which sees classes that are mixed up within the foreground."""
    reference_class_jaccard: float = float("nan")
    """The float graph's."""

    @property
    def summary(self) -> str:
        """The loss in words."""
        return (
            f"{self.loss:.4f} Jaccard ({self.reference_jaccard:.4f} to {self.jaccard:.4f}, mean over classes "
            f"{self.reference_class_jaccard:.4f} to {self.class_jaccard:.4f}, against {self.truth})"
        )


class Labelled(Protocol):
    """What was to be found in an image, or in the dates of a place."""

    @property
    def id(self) -> str:
        """Name."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W), True where there are data."""
        ...

    @property
    def label(self) -> NDArray[np.uint8]:
        """uint8 (H, W), 255 = ignore."""
        ...


Sample_co = TypeVar("Sample_co", bound=Labelled, covariant=True)


class LabelledSamples(Protocol, Generic[Sample_co]):
    """Validation samples, read one at a time."""

    @property
    def labelled(self) -> bool:
        """Whether any pixel is labelled."""
        ...

    def __iter__(self) -> Iterator[Sample_co]: ...


class MaskValidator(ABC, Generic[Sample_co]):
    """Judges graphs by the masks that they give on validation samples; subclasses say how they are asked.

    Args:
        samples: to validate on.
        manifest: draft manifest; its first graph is the float graph.
        folder: where graphs lie.
        threads: of one prediction; None leaves it to the engine.
    """

    def __init__(
        self,
        samples: LabelledSamples[Sample_co],
        manifest: FlightManifest,
        folder: Path,
        *,
        threads: int | None = None,
    ) -> None:
        self._samples = samples
        self._manifest = manifest
        self._threads = threads
        self._labelled = samples.labelled
        self._reference = self.masks(manifest.graphs[0], folder)
        self._reference_scores = self._jaccards(self._reference)

    def judge(self, graph: Graph, folder: Path) -> Verdict:
        """Run ``graph`` on every validation image."""
        masks = self.masks(graph, folder)
        found, reference = self._jaccards(masks), self._reference_scores
        total = sum(mask.size for mask in masks)
        same = sum(int((a == b).sum()) for a, b in zip(masks, self._reference, strict=True))
        decided = sum(int((mask != IGNORE).sum()) for mask in self._reference)
        losses = [before - after for before, after in zip(reference, found, strict=True)]
        judged = [loss for loss in losses[: 2 if len(self._manifest.classes) > 2 else 1] if not np.isnan(loss)]
        return Verdict(
            jaccard=found[0],
            reference_jaccard=reference[0],
            class_jaccard=found[1],
            reference_class_jaccard=reference[1],
            # Without a foreground pixel in truth or prediction there is no Jaccard: then classes must agree.
            loss=(total - same) / max(decided, 1) if np.isnan(losses[0]) else max(judged),
            agreement=same / total,
            images=len(masks),
            truth="labels" if self._labelled else "float graph",
        )

    @abstractmethod
    def masks(self, graph: Graph, folder: Path) -> list[NDArray[np.uint8]]:
        """What a graph in a folder says of every sample, uint8 (H, W)."""

    def _jaccards(self, masks: list[NDArray[np.uint8]]) -> tuple[float, float]:
        """Of the foreground, and the mean over classes."""
        metrics = SegmentationMetrics(classes=len(self._manifest.classes), foreground=self._manifest.foreground)
        for sample, mask, reference in zip(self._samples, masks, self._reference, strict=True):
            truth = np.where(sample.valid, sample.label if self._labelled else reference, IGNORE).astype(np.uint8)
            metrics.update(truth, mask, image=sample.id)
        return metrics.overall().jaccard, mean_jaccard(metrics)


class Validator(MaskValidator[Sample]):
    """Judges graphs by what they give on validation images."""

    @override
    def masks(self, graph: Graph, folder: Path) -> list[NDArray[np.uint8]]:
        """See :class:`MaskValidator`."""
        engine = open_engine(graph.engine, folder / graph.file, threads=self._threads)
        model = FlightModel(self._manifest, graph=graph, engine=engine, window=DEFAULT_WINDOW)
        return [model.predict(s.image, self._manifest.band_names, valid=s.valid) for s in self._samples]
