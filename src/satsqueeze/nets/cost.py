"""What a model costs: parameters, multiply-accumulates, memory for activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from satsqueeze.nets.model import SegmentationModel

__all__ = ["COST_SIDE", "Cost", "cost", "cost_of_network", "count_parameters"]

COST_SIDE = 256
"""Height and width in pixels at which networks that take any size are counted, raised to a size that they take."""

# Layers that an engine computes in place, or folds into the layer before, when their input is read no more.
_IN_PLACE = frozenset(
    {
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update",
        "cudnn_batch_norm",
        "native_group_norm",
        "native_layer_norm",
        "relu",
        "leaky_relu",
        "elu",
        "gelu",
        "silu",
        "mish",
        "sigmoid",
        "tanh",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "clamp",
        "add",
        "sub",
        "mul",
        "div",
    }
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one image of a stated size costs in evaluation, batch 1."""

    parameters: int
    """Trainable parameters, unused deep-supervision heads included."""
    macs: int
    """Multiply-accumulates of all convolutions, transposed convolutions and matrix products."""
    macs_per_pixel: float
    """`macs` by input pixel."""
    peak_activation_bytes: int
    """Most bytes of float32 activations alive at once; see `cost`."""
    bytes_moved: int
    """Bytes of float32 weights, read once, and of activations that layers read and write; see `cost`."""
    height: int
    """Input height in pixels."""
    width: int
    """Input width in pixels."""


def cost(model: SegmentationModel, *, height: int, width: int) -> Cost:
    """Count what a forward pass costs, without computing or allocating anything.

    The memory model: float32; the input, and the output of every layer, are one buffer each; a buffer lives from when
    it is written until it has been read for the last time (so skips live long), and a layer's inputs and output exist
    together. Norms, activations and other element-wise layers overwrite an input that nobody reads again. Weights and
    an engine's scratch memory are not counted. What is moved is what all other layers read and write, each buffer in
    full; element-wise layers, which engines fold into those before, move nothing.

    Raises:
        GridError: the size is not one that the model takes.
    """
    return cost_of_network(model, in_channels=len(model.card.bands), height=height, width=width)


def cost_of_network(net: nn.Module, *, in_channels: int, height: int, width: int) -> Cost:
    """The same for any module that takes images (1, `in_channels`, `height`, `width`), on any device.

    Raises:
        GridError: the size is not one that the network takes.
    """
    watch = _Watch()
    with _evaluating(net), FlopCounterMode(display=False) as flops, watch:
        weightless = {
            name: torch.empty_like(tensor, device="meta")
            for name, tensor in chain(net.named_parameters(), net.named_buffers())
        }
        image = torch.empty(1, in_channels, height, width, device="meta")
        watch.start(image)
        functional_call(net, weightless, (image,))
    macs = flops.get_total_flops() // 2
    return Cost(
        parameters=count_parameters(net),
        macs=macs,
        macs_per_pixel=macs / (height * width),
        peak_activation_bytes=watch.peak(),
        bytes_moved=watch.moved + count_parameters(net) * torch.float32.itemsize,
        height=height,
        width=width,
    )


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters of any module."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = {name: module.training for name, module in model.named_modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for name, module in model.named_modules():
            module.training = training[name]


@dataclass
class _Buffer:
    """An activation: when it is written and last read, in steps of the forward pass."""

    bytes: int
    written: int
    read: int


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records which activation every layer reads and writes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._step = 0
        self.moved = 0
        self._of_storage: dict[int, _Buffer] = {}
        self._events: list[tuple[str, list[_Buffer], _Buffer]] = []
        # Storages are told apart by address, so none may be freed while we watch.
        self._kept: list[Tensor] = []

    def start(self, image: Tensor) -> None:
        """Count from here on, with `image` alive."""
        self._of_storage, self.moved = {}, 0
        self._write(image)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
        buffers = [self._of_storage[_storage(tensor)] for tensor in read if _storage(tensor) in self._of_storage]
        if not buffers:
            return result
        self._step += 1
        for buffer in buffers:
            buffer.read = self._step
        outputs = [tensor for tensor in tree_leaves(result) if isinstance(tensor, Tensor) and tensor.numel()]
        if outputs and _storage(outputs[0]) not in self._of_storage:
            written = self._write(outputs[0])
            if func.overloadpacket.__name__ in _IN_PLACE:
                self._events.append((func.overloadpacket.__name__, buffers, written))
            else:
                self.moved += written.bytes + sum({id(buffer): buffer.bytes for buffer in buffers}.values())
        self._kept += outputs
        return result

    def _write(self, tensor: Tensor) -> _Buffer:
        self._kept.append(tensor)
        size = tensor.numel() * torch.float32.itemsize
        buffer = _Buffer(bytes=size, written=self._step, read=self._step)
        self._of_storage[_storage(tensor)] = buffer
        return buffer

    def peak(self) -> int:
        """Most bytes alive in any step."""
        for _, inputs, output in self._events:
            dying = [buffer for buffer in inputs if buffer.read == output.written and buffer.bytes == output.bytes]
            if dying:
                # The dying input's memory becomes the output's: it is gone one step earlier.
                dying[0].read -= 1
        return max(
            sum(b.bytes for b in self._of_storage.values() if b.written <= step <= b.read)
            for step in range(self._step + 1)
        )


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
