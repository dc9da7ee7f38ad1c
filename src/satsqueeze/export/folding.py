"""Folding batch normalisation into the convolutions before it."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd as _Convolution
from torch.nn.modules.conv import _ConvTransposeNd as _TransposedConvolution
from torch.nn.utils.fusion import fuse_conv_bn_eval

from satsqueeze.core.errors import ExportError

TOLERANCE = 1e-4
"""Largest difference of an output allowed, relative to the largest output."""
_Model = TypeVar("_Model", bound=nn.Module)


def fold_batchnorm(model: _Model, example: Tensor) -> _Model:
    """A copy in evaluation mode in which each BatchNorm that follows a convolution is part of it.

    w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta (Jacob et al. 2018, eq. 14).
    Which convolution feeds which norm is found by running the model once, so nothing is asked of its structure.

    Args:
        model: any module; left as it is.
        example: an input it takes.

    Raises:
        ExportError: the folded model does not give what the model gives, as when a convolution that feeds a norm
            feeds something else too.
    """
    folded, difference = _folded(model, example)
    if difference is not None:
        raise ExportError(
            f"folding batch normalisation changes the logits by {difference:.3g}; a convolution seems to feed a norm "
            "and something else as well. Put the norm on a path of its own."
        )
    return folded


def fold_what_can_be(model: _Model, example: Tensor) -> _Model:
    """:func:`fold_batchnorm` that leaves a norm as it is whose convolution feeds something else as well."""
    folded, difference = _folded(model, example)
    if difference is None:
        return folded
    folded = copy.deepcopy(model).eval()
    before = _run(folded, example)
    for convolution, norm in _pairs(folded, example):
        names = {module: name for name, module in folded.named_modules()}
        places = names[convolution], names[norm]
        fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, _TransposedConvolution))
        for place, module in zip(places, (fused, nn.Identity()), strict=True):
            folded.set_submodule(place, module)
        if _difference(folded, example, before) is not None:
            for place, original in zip(places, (convolution, norm), strict=True):
                folded.set_submodule(place, original)
    return folded


def _folded(model: _Model, example: Tensor) -> tuple[_Model, float | None]:
    """The model with all norms folded, and by how much that changes its output where it does."""
    folded = copy.deepcopy(model).eval()
    before = _run(folded, example)
    names = {module: name for name, module in folded.named_modules()}
    for convolution, norm in _pairs(folded, example):
        fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, _TransposedConvolution))
        folded.set_submodule(names[convolution], fused)
        folded.set_submodule(names[norm], nn.Identity())
    return folded, _difference(folded, example, before)


def _difference(model: nn.Module, example: Tensor, before: Tensor) -> float | None:
    """Largest difference of an output; None where it is within the tolerance."""
    difference = float((_run(model, example) - before).abs().max())
    return None if difference <= TOLERANCE * max(1.0, float(before.abs().max())) else difference


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[_Convolution, _BatchNorm]]:
    """Convolutions and the norms that take their output, each norm with the only convolution that feeds it."""
    made: dict[int, _Convolution] = {}
    pairs: list[tuple[_Convolution, _BatchNorm]] = []
    kept: list[Tensor] = []  # an address is an identity only while its tensor lives

    def remember(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, _Convolution):
            made[id(output)] = module
            kept.append(output)

    def match(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, _BatchNorm) and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])], module))

    handles = [module.register_forward_hook(remember) for module in model.modules()]
    handles += [module.register_forward_pre_hook(match) for module in model.modules()]
    try:
        _run(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def _run(model: nn.Module, example: Tensor) -> Tensor:
    with torch.no_grad():
        output: Tensor = model(example)
    return output
