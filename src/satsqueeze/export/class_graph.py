"""One ONNX graph from reflectance to decisions on whole images."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import Dim

from satsqueeze.core.class_thresholds import DEFAULT_THRESHOLD
from satsqueeze.core.errors import ExportError
from satsqueeze.core.margin import margin
from satsqueeze.export.folding import fold_what_can_be
from satsqueeze.export.onnx import DecisionGraph, GraphShape, softmax
from satsqueeze.flight.engines.engine import CLASS, CLASSES, INPUT, PROBABILITIES
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import SegmentationModel


class ClassGraph(DecisionGraph):
    """Classification: the most probable class of an image, or every class whose probability reaches its threshold.

    Height and width are fixed to the size that the network is for.

    Args:
        model: a classifier.
        thresholds: of multi-label classes; empty: 0.5 each.

    Raises:
        ExportError: not a classifier, or thresholds that do not fit it.
    """

    thresholds: Tensor

    def __init__(self, model: SegmentationModel, thresholds: Sequence[float] = ()) -> None:
        super().__init__(model)
        card = model.card
        self.is_multi_label = card.task == "multi-label"
        chosen = tuple(thresholds) or (DEFAULT_THRESHOLD,) * len(card.classes) * self.is_multi_label
        if len(chosen) != len(card.classes) * self.is_multi_label:
            raise ExportError(
                f"{len(thresholds)} thresholds do not fit a {card.task} model of {len(card.classes)} classes; give "
                "one per class for multi-label, else none"
            )
        self.register_buffer("thresholds", torch.tensor(chosen, dtype=torch.float32))

    @property
    def side(self) -> int:
        """Height and width of the images, in pixels.

        Raises:
            ExportError: the model is no classifier.
        """
        config = self.model.card.config
        if not isinstance(config, ClassifierConfig):
            raise ExportError(f"{self.model.card.name!r} of family {self.model.card.family!r} is no classifier")
        return config.size

    @property
    def shape(self) -> GraphShape:
        """Images of one size, any number of them."""
        batch, decision = {0: "batch"}, CLASSES if self.is_multi_label else CLASS
        return GraphShape(
            example=(2, len(self.model.card.bands), self.side, self.side),
            dynamic={0: Dim("batch")},
            axes={INPUT: batch, PROBABILITIES: batch, decision: batch},
        )

    def decided(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K), and uint8 classes (N,), or (N, K) where an image has any number."""
        if self.is_multi_label:
            probabilities = torch.sigmoid(logits)
            return probabilities, (probabilities >= self.thresholds).to(torch.uint8)
        return softmax(logits), logits.argmax(dim=1).to(torch.uint8)

    def margin(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lead (N,) of the most probable class, or distance (N, K) from the thresholds."""
        if self.is_multi_label:
            distance: NDArray[np.float32] = np.abs(probabilities - self.thresholds.numpy())
            return distance
        return margin(probabilities, axis=1)


def class_graph(model: SegmentationModel, thresholds: Sequence[float] = ()) -> ClassGraph:
    """The graph of a classifier in evaluation mode on the CPU, batch normalisation folded where it can be; the model
    stays as it is.

    Raises:
        ExportError: not a classifier, or thresholds that do not fit it.
    """  # noqa: D205
    graph = ClassGraph(copy.deepcopy(model).cpu(), thresholds).eval()
    shape = (2, *graph.shape.example[1:])
    graph.model = fold_what_can_be(graph.model, torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    return graph.eval()
