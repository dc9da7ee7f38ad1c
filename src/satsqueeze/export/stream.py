"""A graph that takes an image a few rows at a time and repeats nothing: what a later call needs is carried over.

Tiles see what they depend on by reading it again, so a network that looks far computes most layers more than once. Here
every layer that looks at rows above keeps the last rows of its input and puts them before those of the next call. Its
results lag behind by what it looks at below, and so do those of the layers after it; a short cut past slower layers is
held back until they are there. Every number is computed once, from the same numbers as in the whole image.

Where an image begins there is nothing to carry and layers see zeros beyond it; where it ends results catch up. So there
are three graphs: for the first rows, for those in the middle, and for the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnxruntime.quantization.onnx_model import ONNXModel

from satsqueeze.core.errors import ExportError
from satsqueeze.core.rows import CarriedRows, RowStream
from satsqueeze.core.window import up
from satsqueeze.flight.engines.engine import INPUT, MASK

Place = Literal["first", "middle", "last"]
_ROWS = 2
"""Axis of rows in (N, C, H, W)."""
_ACROSS_CHANNELS = ("Concat", "Gather", "Softmax", "ArgMax", "ReduceMax", "ReduceSum", "Slice")
_POINTWISE = (
    "Add", "Cast", "Clip", "DequantizeLinear", "Div", "Equal", "Exp", "Expand", "Greater", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "Max", "Min", "Mul", "QuantizeLinear", "Relu", "Shape", "Sigmoid", "Sub", "Where",
)  # fmt: skip


class UnstreamableError(ExportError):
    """A graph has an operator for which there is no rule."""


@dataclass(frozen=True, kw_only=True)
class Lag:
    """Where the rows of a tensor are when those of an image have come to a certain one."""

    stride: int
    """Rows of the image for one of the tensor."""
    rows: int
    """By which the tensor is behind."""


@dataclass(frozen=True, kw_only=True)
class Carry:
    """Rows of a tensor that one call leaves for the next, (1, channels, rows, W / stride)."""

    name: str
    rows: int
    stride: int
    channels: int
    kind: int
    """Element type of ONNX."""
    lag: int
    """Of the tensor, in rows of it."""

    @property
    def after(self) -> str:
        """Name of what is left for the next call."""
        return f"{self.name}_next"

    @property
    def described(self) -> CarriedRows:
        """For a manifest."""
        size = helper.tensor_dtype_to_np_dtype(self.kind).itemsize
        return CarriedRows(channels=self.channels, rows=self.rows, stride=self.stride, bytes=size)

    @property
    def least_rows(self) -> int:
        """Rows of the image that the first call must have, for as many of the tensor to be left."""
        return (self.rows + self.lag) * self.stride


def write_stream(graph: Path, folder: Path, *, multiple: int) -> RowStream:
    """Write the three graphs that stream a graph; returns what a manifest says of them.

    Args:
        graph: an ONNX graph with the flight contract.
        folder: for the files.
        multiple: of the rows of every call, in pixels.

    Raises:
        UnstreamableError: the graph has an operator for which there is no rule.
    """
    known = ONNXModel(onnx.load(graph))
    known.topological_sort()  # graphs of older packages are not in order
    model = onnx.shape_inference.infer_shapes(known.model)
    files: dict[str, str] = {}
    for place in ("first", "middle", "last"):
        stream = _Stream(model, place)
        files[place] = f"{graph.stem}.{place}.onnx"
        onnx.save(stream.build(), folder / files[place])
    least = max(carry.least_rows for carry in stream.carries)
    return RowStream(
        **files,
        delay=stream.lags[MASK].rows,
        least_rows=up(least, multiple),
        carries=tuple(carry.described for carry in stream.carries),
    )


@dataclass
class _Stream:
    """One of the three graphs in the making."""

    model: onnx.ModelProto
    place: Place
    carries: list[Carry] = field(default_factory=list)
    lags: dict[str, Lag] = field(default_factory=lambda: {INPUT: Lag(stride=1, rows=0)})
    _nodes: list[NodeProto] = field(default_factory=list)
    _constants: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self._makers = {output: node for node in graph.node for output in node.output}
        self._values = {tensor.name: tensor for tensor in graph.initializer}
        self._types = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input)}

    def build(self) -> onnx.ModelProto:
        """The graph."""
        for node in self.model.graph.node:
            if any(name in self.lags for name in node.input):
                self._stream(node)
            else:
                self._nodes.append(node)
        width = self._types[INPUT].shape.dim[3].dim_param or "width"
        channels = self._types[INPUT].shape.dim[1].dim_value
        inputs = [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [1, channels, "rows", width])]
        outputs = [helper.make_tensor_value_info(MASK, onnx.TensorProto.UINT8, [1, "decided", width])]
        for carry in self.carries:
            shape: list[int | str] = [1, carry.channels, carry.rows, f"{width}_{carry.stride}"]
            if self.place != "first":
                inputs.append(helper.make_tensor_value_info(carry.name, carry.kind, shape))
            if self.place != "last":
                outputs.append(helper.make_tensor_value_info(carry.after, carry.kind, shape))
        nodes = _needed(self._nodes, {output.name for output in outputs})
        used = {name for node in nodes for name in node.input}
        tensors = [tensor for tensor in (*self.model.graph.initializer, *self._constants) if tensor.name in used]
        graph = helper.make_graph(nodes, f"flight, {self.place} rows", inputs, outputs, tensors)
        model = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        onnx.checker.check_model(model)
        return model

    def _stream(self, node: NodeProto) -> None:
        """Add an operator, with the rows that it needs from the call before."""
        kind = node.op_type
        if kind in ("Conv", "MaxPool"):
            self._slide(node)
        elif kind in ("Resize", "DepthToSpace", "ConvTranspose"):
            (source,) = (name for name in node.input if name in self.lags)
            lag, times = self.lags[source], self._growth(node)
            if lag.stride % times:
                raise UnstreamableError(f"{node.name} makes more rows than the image has")
            self._add(node, Lag(stride=lag.stride // times, rows=lag.rows * times))
        elif kind in _POINTWISE or (kind in _ACROSS_CHANNELS and self._axis(node) == 1):
            self._wait(node)
        else:
            raise UnstreamableError(f"there is no rule for streaming {kind} ({node.name})")

    def _add(self, node: NodeProto, lag: Lag) -> None:
        self._nodes.append(node)
        self.lags |= dict.fromkeys(node.output, lag)

    def _slide(self, node: NodeProto) -> None:
        """A convolution or pooling: rows above come from the call before, rows below are waited for."""
        about = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        size, step = about["kernel_shape"][0], about.get("strides", [1])[0]
        pads = list(about.get("pads", [0, 0, 0, 0]))
        if (
            about.get("auto_pad", b"NOTSET") != b"NOTSET"
            or about.get("dilations", [1])[0] != 1
            or about.get("ceil_mode")
        ):
            raise UnstreamableError(f"{node.name} has dilations or a padding of its own")
        source, above = node.input[0], pads[0]
        before = self.lags[source]
        behind = -(-(before.rows + size - step - above) // step)
        carried, early = behind * step + above - before.rows, behind * step + step + above - size - before.rows
        pads[0], pads[2] = above if self.place == "first" else 0, pads[2] if self.place == "last" else 0
        fed = self._held(source, carried, early, node.output[0])
        self._add(_like(node, {source: fed}, pads=pads), Lag(stride=before.stride * step, rows=behind))

    def _wait(self, node: NodeProto) -> None:
        """An operator on single pixels: its inputs are held back for the slowest."""
        known = [self.lags[name] for name in node.input if name in self.lags]
        slowest = max(known, key=lambda lag: lag.rows)
        late = {
            name: self._held(
                name, slowest.rows - self.lags[name].rows, slowest.rows - self.lags[name].rows, node.output[0]
            )
            for name in node.input
            if name in self.lags and self.lags[name].rows < slowest.rows
        }
        self._add(_like(node, late), slowest)

    def _held(self, name: str, carried: int, early: int, user: str) -> str:
        """A tensor after ``carried`` rows of the call before, without its last ``early`` rows, which are too new.

        What is quantised is held as bytes: it is put together before it becomes real numbers.
        """
        if not carried and not early:
            return name
        maker = self._makers.get(name)
        stored = maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name
        kind = self._types[stored]
        lag = self.lags[name]
        carry = Carry(
            name=f"carry_{len(self.carries)}",
            rows=carried,
            stride=lag.stride,
            channels=kind.shape.dim[1].dim_value,
            kind=kind.elem_type,
            lag=lag.rows,
        )
        self.carries.append(carry)
        joined = stored
        if self.place != "first":
            joined = f"{carry.name}_joined"
            self._nodes.append(helper.make_node("Concat", [carry.name, stored], [joined], axis=_ROWS))
        if self.place != "last":
            self._cut(joined, -carried, None, carry.after)
            joined = self._cut(joined, 0, -early, f"{carry.name}_due") if early else joined
        if stored == name or maker is None:
            return joined
        real = f"{user}_{carry.name}"
        self._nodes.append(helper.make_node("DequantizeLinear", [joined, *maker.input[1:]], [real]))
        return real

    def _cut(self, name: str, begin: int, end: int | None, into: str) -> str:
        """Rows ``begin`` to ``end`` of a tensor."""
        bounds = {"begin": begin, "end": np.iinfo(np.int64).max if end is None else end, "axis": _ROWS}
        names = [f"{into}_{bound}" for bound in bounds]
        self._constants += [
            numpy_helper.from_array(np.array([value], np.int64), bound)
            for bound, value in zip(names, bounds.values(), strict=True)
        ]
        self._nodes.append(helper.make_node("Slice", [name, *names], [into]))
        return into

    def _growth(self, node: NodeProto) -> int:
        """How many rows an operator that makes cells smaller makes of one."""
        about = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "DepthToSpace":
            return int(about["blocksize"])
        if node.op_type == "ConvTranspose":
            steps, size = list(about.get("strides", [1, 1])), list(about["kernel_shape"])
            if steps != size or any(about.get("pads", [])) or any(about.get("output_padding", [])):
                raise UnstreamableError(f"{node.name} mixes rows while it makes them more")
            return int(steps[0])
        scales = self._values.get(node.input[2]) if len(node.input) > 2 else None
        times = 0.0 if scales is None else float(numpy_helper.to_array(scales)[_ROWS])
        if about.get("mode", b"nearest") != b"nearest" or times < 1 or not times.is_integer():
            raise UnstreamableError(f"{node.name} mixes rows while it makes them more")
        return int(times)

    def _axis(self, node: NodeProto) -> int:
        """The one axis that an operator works along."""
        about = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if not node.op_type.startswith("Reduce") and node.op_type != "Slice":
            return int(about.get("axis", -1 if node.op_type == "Softmax" else 0))
        place = 3 if node.op_type == "Slice" else 1
        stated = self._values.get(node.input[place]) if len(node.input) > place else None
        axes = about.get("axes", []) if stated is None else numpy_helper.to_array(stated).ravel().tolist()
        return int(axes[0]) if len(axes) == 1 else -1


def _like(node: NodeProto, renamed: Mapping[str, str], pads: list[int] | None = None) -> NodeProto:
    """An operator with other inputs, and other padding where given."""
    made = NodeProto()
    made.CopyFrom(node)
    for place, name in enumerate(node.input):
        made.input[place] = renamed.get(name, name)
    if pads is not None:
        kept = [entry for entry in made.attribute if entry.name != "pads"]
        del made.attribute[:]
        made.attribute.extend([*kept, helper.make_attribute("pads", pads)])
    return made


def _needed(nodes: list[NodeProto], wanted: set[str]) -> list[NodeProto]:
    """Operators that some outputs depend on, in order."""
    kept = []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
