"""Where in a network its attention is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.scoring.segmenter import inference
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import SegmentationModel

LEAST = 4
"""Cells along a side below which a map says little about places."""


@dataclass(frozen=True, kw_only=True)
class FeatureLayer:
    """A module that gives maps of features."""

    name: str
    """As in ``model.named_modules()``."""
    side: int
    """Cells of its map along a side."""


def feature_layer(model: SegmentationModel, *, least: int = LEAST) -> FeatureLayer:
    """The deepest layer that still tells places apart, found by one forward pass.

    It is the last stage or block, in the order of computation, whose output is a square map of at least ``least`` x
    ``least`` cells. Stages and blocks are what a ``Sequential`` holds, or itself; a layer within a block that ends in
    fewer cells is none.

    Args:
        model: of the zoo; its mode and weights stay as they are.
        least: cells along a side.

    Raises:
        SettingsError: there is no such map, as in networks that turn images into tokens; or it is no classifier.
    """
    config = model.card.config
    if not isinstance(config, ClassifierConfig):
        raise SettingsError(f"attention is read from classifiers of the zoo, got a network of {model.card.family}")
    seen: list[FeatureLayer] = []
    with ExitStack() as hooks, inference(model, "fp32") as device:
        for name, module in model.named_modules():
            handle = module.register_forward_hook(_noting(name, seen))
            hooks.callback(handle.remove)
        model(torch.zeros(1, config.in_channels, config.size, config.size, device=device))
    sides = {layer.name: layer.side for layer in seen}
    parts = {
        name: min((sides[block] for block in blocks if block in sides), default=least)
        for name, blocks in _parts(model).items()
    }
    found = [layer for layer in seen if min(layer.side, parts.get(layer.name, 0)) >= least]
    if not found:
        raise SettingsError(
            f"{config.model} has no map of at least {least} x {least} cells for images of {config.size} px, so there "
            "is no attention to transfer; take a convolutional network, or set attention to 0"
        )
    return found[-1]


def _parts(model: nn.Module) -> dict[str, list[str]]:
    """Stages and blocks by their names, with the blocks and networks around each."""
    rows = {name for name, module in model.named_modules() if isinstance(module, nn.Sequential)}
    parts = {}
    for name, _ in model.named_modules():
        words = name.split(".")
        around = [".".join(words[:count]) for count in range(1, len(words))]
        if name in rows or (around and around[-1] in rows):
            parts[name] = [block for block in around if block not in rows]
    return parts


def _noting(name: str, seen: list[FeatureLayer]) -> Callable[[nn.Module, object, object], None]:
    def note(module: nn.Module, inputs: object, output: object) -> None:  # noqa: ARG001 - of a hook
        # What only pads or resamples the image, before the first weights, has no features.
        computes = bool(seen) or any(True for _ in module.parameters())
        if computes and isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] == output.shape[3]:
            seen.append(FeatureLayer(name=name, side=output.shape[2]))

    return note
