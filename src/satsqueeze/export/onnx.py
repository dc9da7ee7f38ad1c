"""One ONNX graph from reflectance to decisions: scaling, network, probabilities and classes."""

from __future__ import annotations

import ast
import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from satsqueeze.core.errors import ExportError
from satsqueeze.core.files import replacing
from satsqueeze.core.margin import margin
from satsqueeze.export.folding import fold_batchnorm
from satsqueeze.export.shuffle import shuffle_transposed, take_last_shuffle
from satsqueeze.export.silence import quiet
from satsqueeze.flight.engines.engine import INPUT, MASK, PROBABILITIES
from satsqueeze.nets.model import SegmentationModel

OPSET = 18


@dataclass(frozen=True, kw_only=True)
class GraphShape:
    """The input of a graph and its outputs."""

    example: tuple[int, ...]
    """Shape of an input for tracing."""
    dynamic: dict[int, Any]
    """Axes of the input whose size is free, as torch.export takes them."""
    axes: dict[str, dict[int, str]]
    """Names of the free axes of the input, of further ones, and then of each output, in the graph's order."""
    further: tuple[tuple[int, ...], ...] = ()
    """Shapes of further inputs for tracing."""
    further_dynamic: tuple[dict[int, Any], ...] = ()
    """Axes of each of them whose size is free."""


class DecisionGraph(nn.Module, ABC):
    """What flies: a model with what makes its logits probabilities and decisions.

    Args:
        model: reflectance to logits.
    """

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    @property
    @abstractmethod
    def shape(self) -> GraphShape:
        """What goes in and comes out."""

    def logits(self, reflectance: Tensor) -> Tensor:
        """Float32 reflectance (N, C, H, W) to logits (N, K, ...), on which is decided."""
        logits: Tensor = self.model(reflectance)
        return logits

    @abstractmethod
    def decided(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K, ...) and uint8 decisions for logits (N, K, ...)."""

    @abstractmethod
    def margin(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """How clear the decisions on probabilities (N, K, ...) are, shaped as the decisions; 0 is a tie."""

    def forward(self, reflectance: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 reflectance (N, C, H, W) to probabilities and decisions."""
        return self.decided(self.logits(reflectance))


class FlightGraph(DecisionGraph):
    """Segmentation: a class for every pixel.

    Masks are decided before cells are laid out as pixels, where the network ends in that: a byte is moved then, in
    place of a float per class.

    Args:
        model: reflectance to logits, or to those of ``cell`` x ``cell`` pixels as channels of one.
        logit_bias: added to the logits of each class before the decision, such as log-odds chosen on validation data.
        cell: pixels along each side of what one position of the model's output holds.

    Raises:
        ExportError: not one bias per class.
    """

    logit_bias: Tensor | None

    def __init__(self, model: SegmentationModel, logit_bias: Sequence[float] = (), *, cell: int = 1) -> None:
        super().__init__(model)
        self.cell = cell
        if logit_bias and len(logit_bias) != len(model.card.classes):
            raise ExportError(f"{len(model.card.classes)} classes need as many logit biases, got {len(logit_bias)}")
        bias = torch.tensor(logit_bias, dtype=torch.float32)[:, None, None] if any(logit_bias) else None
        self.register_buffer("logit_bias", bias)

    @property
    def shape(self) -> GraphShape:
        """Any height and width that are multiples of the model's ``size_multiple``."""
        multiple, planes = self.model.size_multiple, {0: "batch", 2: "height", 3: "width"}
        return GraphShape(
            example=(2, len(self.model.card.bands), 3 * multiple, 4 * multiple),
            dynamic={0: Dim("batch"), 2: multiple * Dim("rows", max=2**16), 3: multiple * Dim("cols", max=2**16)},
            axes={INPUT: planes, PROBABILITIES: planes, MASK: {0: "batch", 1: "height", 2: "width"}},
        )

    def logits(self, reflectance: Tensor) -> Tensor:
        """Float32 reflectance (N, C, H, W) to logits (N, K, H, W), bias included."""
        return self._as_pixels(self._of_cells(reflectance))

    def forward(self, reflectance: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 reflectance (N, C, H, W) to probabilities (N, K, H, W) and mask uint8 (N, H, W)."""
        cells = self._of_cells(reflectance)
        if self.cell == 1:
            return self.decided(cells)
        each = self.cell**2
        # Slices, since OpenVINO takes its slow path to split.
        classes = [cells[:, first : first + each] for first in range(0, cells.shape[1], each)]
        return softmax(self._as_pixels(cells)), self._as_pixels(best_of(classes))[:, 0]

    def _of_cells(self, reflectance: Tensor) -> Tensor:
        """Logits (N, K * cell * cell, H / cell, W / cell), class by class, bias included."""
        logits = super().logits(reflectance)
        return logits if self.logit_bias is None else logits + self.logit_bias.repeat_interleave(self.cell**2, dim=0)

    def _as_pixels(self, cells: Tensor) -> Tensor:
        return cells if self.cell == 1 else functional.pixel_shuffle(cells, self.cell)

    def decided(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K, H, W) and mask uint8 (N, H, W)."""
        return softmax(logits), best_class(logits)

    def margin(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (N, H, W) between the two largest probabilities."""
        return margin(probabilities, axis=1)


def softmax(logits: Tensor) -> Tensor:
    """A softmax over axis 1 in so many words.

    onnxruntime's own, over few channels that are not the last axis, took up to 39 % of a small network's time.
    """
    powers = torch.exp(logits - logits.amax(dim=1, keepdim=True))
    return powers / powers.sum(dim=1, keepdim=True)


def best_class(logits: Tensor) -> Tensor:
    """Uint8 (N, H, W), the class of the largest of logits (N, K, H, W), the first of equal ones.

    An arg-max class by class: that of OpenVINO took a seventh of a small network's time.
    """
    return best_of([logits[:, value] for value in range(logits.shape[1])])


def best_of(logits: Sequence[Tensor]) -> Tensor:
    """Uint8, which tensor has the largest value at each place, the first of equal ones; see `best_class`."""
    best = logits[0]
    decided = torch.zeros_like(best, dtype=torch.uint8)
    for value, rival in enumerate(logits[1:], start=1):
        better = rival > best
        # The first comparison is its own answer.
        decided = better.to(torch.uint8) if value == 1 else torch.where(better, torch.tensor(value).byte(), decided)
        best = torch.maximum(best, rival)
    return decided


def is_layer_of_network(name: str) -> bool:
    """Whether a node belongs to the network, rather than to the scaling before it or the decision after it."""
    return not name.startswith(("model/", "flight/"))


def flight_graph(model: SegmentationModel, logit_bias: Sequence[float] = ()) -> FlightGraph:
    """The graph of a model in evaluation mode on the CPU, batch normalisation folded; the model stays as it is."""
    side = 2 * model.size_multiple
    example = torch.rand(1, len(model.card.bands), side, side, generator=torch.Generator().manual_seed(0))
    folded = shuffle_transposed(fold_batchnorm(copy.deepcopy(model).cpu(), example))
    return FlightGraph(folded, logit_bias, cell=take_last_shuffle(folded.net)).eval()


def export_fp32(graph: DecisionGraph, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a float32 ONNX graph with a dynamic batch, whole or not at all.

    Input ``reflectance`` float32 (N, C, H, W), finite, 0 where invalid; outputs as in
    :class:`satsqueeze.core.manifest.FlightManifest`.

    Args:
        graph: see :func:`flight_graph` and :func:`satsqueeze.export.class_graph.class_graph`.
        path: ``.onnx`` file.
        metadata: keys and values stored in the graph.

    Raises:
        ExportError: PyTorch cannot export the model.
    """
    shape = graph.shape
    inputs = 1 + len(shape.further)
    with quiet():
        try:
            program = torch.onnx.export(
                graph,
                tuple(torch.zeros(size) for size in (shape.example, *shape.further)),
                dynamo=True,
                dynamic_shapes=(shape.dynamic, *shape.further_dynamic),
                input_names=list(shape.axes)[:inputs],
                output_names=list(shape.axes)[inputs:],
                opset_version=OPSET,
                optimize=True,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
            raise ExportError(f"PyTorch cannot export {graph.model.card.name!r} to ONNX: {error}") from error
    if program is None:
        raise ExportError(f"PyTorch exported nothing for {graph.model.card.name!r}")
    proto = _tidied(program.model_proto, shape.axes)
    onnx.helper.set_model_props(proto, dict(metadata or {}))
    onnx.checker.check_model(proto, full_check=True)
    with replacing(path) as temporary:
        onnx.save(proto, temporary)


def _tidied(proto: onnx.ModelProto, axes: Mapping[str, Mapping[int, str]]) -> onnx.ModelProto:
    """The graph with layers named after modules, plain axis names, and without traces of the exporting machine."""
    proto.producer_name, proto.producer_version, proto.doc_string = "satsqueeze", "", ""
    graph = proto.graph
    graph.name, graph.doc_string = "flight", ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    taken: dict[str, int] = {}
    for node in graph.node:
        name = f"{_module_of(node)}/{node.op_type}"
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        for axis, name in axes[value.name].items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    return onnx.shape_inference.infer_shapes(proto)


def _module_of(node: onnx.NodeProto) -> str:
    scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]")
    modules = [scope for scope in ast.literal_eval(scopes)[:-1] if scope]
    return modules[-1].removeprefix("model.") if modules else "flight"
