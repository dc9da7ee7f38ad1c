"""Optimisers and how their learning rate falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.optimizer import Optimizer

from satsqueeze.core.errors import SettingsError

OptimiserName = Literal["sgd", "adamw", "muon"]
ScheduleName = Literal["poly", "onecycle", "cosine"]

_POLY_POWER = 0.9
_WARM_UP, _START, _END = 0.3, 1 / 25, 1 / 25e4  # torch's defaults of OneCycleLR


def learning_rate_factor(schedule: ScheduleName, *, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Factor on the learning rate at a step: a pure function, so that resuming cannot shift it.

    ``poly`` is (1 - epoch / epochs)^0.9, constant within an epoch (nnU-Net); ``cosine`` falls from 1 to 0 by half a
    cosine (Loshchilov and Hutter 2017); ``onecycle`` rises from 1/25 to 1 over 30 % of the steps, then falls to
    1/250000, both by half a cosine (Smith and Topin 2018, as torch defaults it).

    Raises:
        SettingsError: an unknown schedule.
    """
    steps = steps_per_epoch * epochs
    if schedule == "poly":
        return float((1 - min(step // steps_per_epoch, epochs - 1) / epochs) ** _POLY_POWER)
    if schedule == "cosine":
        return _half_cosine(1.0, 0.0, step / steps)
    if schedule == "onecycle":
        peak, last = _WARM_UP * steps - 1, steps - 1
        if step <= peak:
            return _half_cosine(_START, 1.0, step / max(peak, 1.0))
        return _half_cosine(1.0, _END, min(1.0, (step - peak) / max(last - peak, 1.0)))
    raise SettingsError(f"schedule must be poly, onecycle or cosine, got {schedule!r}")


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


Weights = Iterable[nn.Parameter] | Iterable[dict[str, Any]]
"""Parameters, or groups of them with settings of their own, as torch takes them."""


def build_optimiser(
    name: OptimiserName, weights: Weights, *, learning_rate: float, weight_decay: float, momentum: float = 0.99
) -> Optimizer:
    """``sgd`` with Nesterov momentum, by default 0.99 (nnU-Net), ``adamw`` with torch's betas, or ``muon``.

    Muon (Jordan et al. 2024, as timm has it) takes orthogonalised steps on convolutions and AdamW steps of 0.4 times
    the learning rate on norms and biases; small networks learn in far fewer steps by it.

    Raises:
        SettingsError: an unknown optimiser.
    """
    makers: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(
            weights, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay, fused=True
        ),
        "adamw": lambda: torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay, fused=True),
        "muon": lambda: _muon(weights, learning_rate=learning_rate, weight_decay=weight_decay),
    }
    if name not in makers:
        raise SettingsError(f"optimiser must be sgd, adamw or muon, got {name!r}")
    return makers[name]()


def decayed_apart(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups of a model's parameters, of which norms and biases do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = ({"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _muon(weights: Weights, *, learning_rate: float, weight_decay: float) -> Optimizer:
    # Here, because the import takes seconds and only this optimiser needs it.
    from timm.optim.muon import Muon

    optimiser: Optimizer = Muon(
        weights, lr=learning_rate, weight_decay=weight_decay, nesterov=True, fallback_lr_scale=0.4
    )
    return optimiser
