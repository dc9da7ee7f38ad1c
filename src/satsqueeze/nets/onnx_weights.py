"""Starting a network from the weights inside an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from satsqueeze.core.errors import RunError


@dataclass(frozen=True, kw_only=True)
class OnnxStart:
    """Which weights to take from which file."""

    path: Path
    """ONNX file whose initialisers carry the names of a state dict."""
    prefix: str = "model."
    """Removed from the names in the file."""
    head: str = "segmentation_head.0"
    """Last layer, whose output channels are picked."""
    channels: tuple[int, ...] = (0, 1)
    """For each of our classes, the output channel of the file."""
    unused: tuple[str, ...] = ("encoder._conv_head", "encoder._bn1")
    """Beginnings of weights that the network carries but never uses, so that the export dropped them."""


def start_from_onnx(network: nn.Module, start: OnnxStart) -> None:
    """Replace all weights of ``network`` by those of an ONNX file, in place.

    Args:
        network: of the architecture that the file was exported from, but for the number of classes.
        start: see there.

    Raises:
        RunError: the file cannot be read, or does not hold every weight at its shape.
    """
    try:
        graph = onnx.load(start.path).graph
    except Exception as error:
        raise RunError(f"{start.path} cannot be read as ONNX: {error}; install the package that carries it") from error
    found = {i.name.removeprefix(start.prefix): np.array(onnx.numpy_helper.to_array(i)) for i in graph.initializer}
    for name in (f"{start.head}.weight", f"{start.head}.bias"):
        if name in found:
            found[name] = _picked(found[name], start.channels, start.path)
    wanted = network.state_dict()
    wrong = [
        name
        for name, weight in wanted.items()
        if not (name.startswith(start.unused) or name.endswith("num_batches_tracked"))
        and tuple(weight.shape) != getattr(found.get(name), "shape", None)
    ]
    if wrong:
        raise RunError(
            f"{start.path} does not fit the network: {len(wrong)} weights are absent or of another shape, such as "
            f"{wrong[0]} {tuple(wanted[wrong[0]].shape)}; state the encoder and bands that the file was made with"
        )
    network.load_state_dict({name: torch.from_numpy(found[name]) for name in wanted if name in found}, strict=False)


def _picked(weight: np.ndarray, channels: Sequence[int], path: Path) -> np.ndarray:
    if max(channels) >= len(weight):
        raise RunError(f"{path} has {len(weight)} output channels, the start asks for channel {max(channels)}")
    return weight[list(channels)]
