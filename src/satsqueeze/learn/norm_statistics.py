"""Statistics for batch norms that have none of their own, without a change of what the network answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.transfer_report import TransferReport


def measure_norms(model: SegmentationModel, cut: Callable[[int], Any], origin: TransferReport | None) -> None:
    """Let norms that were taken from a flight package measure the first batch, in place.

    Their weight and bias follow, so that the network answers in evaluation what it did before. Without this, the first
    batch in training would be scaled to a variance of 1 where the trained norm had another, and what was learnt lost.

    Args:
        model: that has been started.
        cut: makes the batch of a step.
        origin: where the model's weights come from, if not from its seed.
    """
    if origin is None or not origin.unmeasured:
        return
    batch, mode = cut(0), model.training
    days = (batch.days,) if hasattr(batch, "days") else ()
    norms = [module for name, module in model.named_modules() if name in origin.unmeasured]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    try:
        with torch.no_grad():
            model.eval()(batch.images, *days)
    finally:
        model.train(mode)
        for hook in hooks:
            hook.remove()


def _measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        return
    axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
    variance, mean = torch.var_mean(inputs[0], dim=axes, correction=0)
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    norm.bias.add_(slope * (mean - norm.running_mean))
    norm.weight.copy_(slope * torch.sqrt(variance + norm.eps))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
