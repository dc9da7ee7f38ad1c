"""The network inside a flight package, as one that can be trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from satsqueeze.core.errors import BandError, RunError, SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.package import MANIFEST, verify
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.edges import norms_behind, weightless
from satsqueeze.nets.model import SegmentationModel, build_model
from satsqueeze.nets.unet_config import UNetConfig

PACKAGE_CARD = "card.json"
"""File of a package that describes the network that its graphs were made of."""
FLOAT_GRAPH = "fp32.onnx"
TOLERANCE = 1e-3
"""Largest difference of a probability between a float graph and the network that is read from it."""
_STEM = "model."
"""Of the names of weights in a graph."""


def is_package(folder: Path | str) -> bool:
    """Whether a folder is a flight package."""
    return (Path(folder) / MANIFEST).is_file()


def load_flight_model(folder: Path | str) -> tuple[SegmentationModel, frozenset[str]]:
    """The network of a package, read from its float graph and proven against it.

    An export folds batch norms into the convolutions before them. Such a norm comes back as one that changes nothing
    but adds the convolution's bias: the answers are those of the graph, but the norm knows no statistics of its own,
    which training has to measure first.

    Args:
        folder: of the package.

    Returns:
        The model in evaluation mode on the CPU, and the names of the norms that were folded.

    Raises:
        PackageError: the package is damaged.
        RunError: it does not tell its network, or its graph is not that network's.
    """
    place = Path(folder)
    verify(place)
    model = build_model(_card(place), seed=0).eval()
    weights = _weights(place / FLOAT_GRAPH)
    folded = _Refilled(model, weights, place / FLOAT_GRAPH)
    folded.fill()
    _prove(model, weights, place / FLOAT_GRAPH)
    return model, frozenset(folded.norms.values())


def _card(place: Path) -> ModelCard:
    path = place / PACKAGE_CARD
    if not path.is_file() or not (place / FLOAT_GRAPH).is_file():
        raise RunError(
            f"{place} is a flight package without {PACKAGE_CARD} or {FLOAT_GRAPH}, so its network cannot be trained "
            "on; name the run folder that it was exported from, or export that again"
        )
    try:
        card = ModelCard.from_dict(read_json(path))
    except (SettingsError, BandError) as error:
        raise RunError(f"{path} describes no network ({error}); export the package again") from error
    # Heads for deep supervision are for training alone and in no graph.
    config = replace(card.config, deep_supervision=False) if isinstance(card.config, UNetConfig) else card.config
    return replace(card, config=config)


def _weights(path: Path) -> dict[str, NDArray[Any]]:
    try:
        graph = onnx.load(path).graph
    except Exception as error:
        raise RunError(f"{path} cannot be read as ONNX: {error}; fetch or export the package again") from error
    return {i.name.removeprefix(_STEM): np.array(onnx.numpy_helper.to_array(i)) for i in graph.initializer}


class _Refilled:
    """A network that takes the weights of its own graph."""

    def __init__(self, model: SegmentationModel, weights: Mapping[str, NDArray[Any]], path: Path) -> None:
        self.model, self.weights, self.path = model, weights, path
        self.modules = dict(model.named_modules())
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        convolutions = {name for name, module in self.modules.items() if isinstance(module, _CONVOLUTIONS)}
        found = _norms_of(model.card, convolutions)
        self.norms = {
            layer: norm
            for layer, norm in found.items()
            if f"{norm}.running_mean" not in weights and self._bias(layer) is not None
        }
        """Convolution -> the norm that was folded into it."""

    def fill(self) -> None:
        """Replace all weights of the model.

        Raises:
            RunError: the graph lacks some, or has them in another shape.
        """
        found = dict(self._found())
        missing = [
            name
            for name, tensor in self.state.items()
            if not name.endswith("num_batches_tracked")
            and tuple(tensor.shape) != getattr(found.get(name), "shape", None)
        ]
        if missing:
            raise RunError(
                f"{self.path} does not hold the weights of {self.model.card.name}: {len(missing)} are absent or of "
                f"another shape, such as {missing[0]}; start from the run folder that the package was exported from"
            )
        self.state |= {name: torch.tensor(found[name]) for name in self.state.keys() & found.keys()}
        self.model.load_state_dict(self.state)

    def _found(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield from self.weights.items()
        for name, module in self.modules.items():
            if isinstance(module, _CONVOLUTIONS):
                yield f"{name}.weight", self._kernel(name)
                bias = self._bias(name)
                if bias is not None:
                    yield f"{name}.bias", np.zeros_like(bias) if name in self.norms else bias
        for layer, norm in self.norms.items():
            bias = np.asarray(self._bias(layer))
            yield f"{norm}.running_mean", np.zeros_like(bias)
            yield f"{norm}.running_var", np.full_like(bias, 1 - getattr(self.modules[norm], "eps", 0))
            yield f"{norm}.weight", np.ones_like(bias)
            yield f"{norm}.bias", bias

    def _kernel(self, name: str) -> NDArray[Any]:
        """Of a convolution; a transposed one may be a shuffle in the graph, whose channels are outputs, rows, cols."""
        shuffled, module = self.weights.get(f"{name}.0.weight"), self.modules[name]
        if shuffled is None or not isinstance(module, nn.ConvTranspose2d):
            return self.weights.get(f"{name}.weight", np.empty(0))
        cells = shuffled.reshape(module.out_channels, *module.kernel_size, module.in_channels)
        return np.ascontiguousarray(cells.transpose(3, 0, 1, 2))

    def _bias(self, name: str) -> NDArray[Any] | None:
        shuffled, module = self.weights.get(f"{name}.0.bias"), self.modules[name]
        if shuffled is None or not isinstance(module, nn.ConvTranspose2d):
            return self.weights.get(f"{name}.bias")
        return np.asarray(shuffled[:: module.kernel_size[0] * module.kernel_size[1]])


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def _norms_of(card: ModelCard, layers: set[str]) -> dict[str, str]:
    """Layer -> the batch norm that reads nothing but its output, by their names in the model."""
    prefix = "net."
    bare = weightless(card.family, card.config)
    found = norms_behind(bare, {layer.removeprefix(prefix) for layer in layers}, card.config)
    return {prefix + layer: prefix + norm for layer, norm in found.items()}


def _prove(model: SegmentationModel, weights: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Refuse a network that answers otherwise than its graph."""
    card = model.card
    config = card.config
    side = config.size if isinstance(config, ClassifierConfig) else 2 * config.size_multiple
    drawn = torch.randn(2, len(card.bands), side, side, generator=torch.Generator().manual_seed(0))
    images = drawn * model.std + model.mean
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = torch.from_numpy(session.run(["probabilities"], {"reflectance": images.numpy()})[0])
    with torch.inference_mode():
        logits = model(images) + torch.from_numpy(weights.get("logit_bias", np.zeros(1, np.float32)))
        found: Tensor = torch.sigmoid(logits) if card.task == "multi-label" else torch.softmax(logits, dim=1)
    difference = float((found - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
    if not difference <= TOLERANCE:
        raise RunError(
            f"the network read from {path} differs from it by up to {difference:.3g} in probability, allowed is "
            f"{TOLERANCE:g}; start from the run folder that the package was exported from"
        )
