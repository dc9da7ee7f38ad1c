"""What scoring and sliding need of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError

Precision = Literal["auto", "bf16", "fp32"]
"""``auto`` is bf16 autocast where the device computes it fast, else fp32."""


@runtime_checkable
class Segmenter(Protocol):
    """A network, an ensemble or a threshold: reflectance (N, C, H, W), 0 where invalid, to logits (N, K, H, W)."""

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        ...

    def __call__(self, reflectance: Tensor) -> Tensor:
        """Logits."""
        ...


def bands_of(model: object) -> tuple[str, ...] | None:
    """Names of the bands that a model takes, from its card or itself; None if it does not say."""
    bands: Sequence[str] | None = getattr(_card(model), "bands", None)
    return None if bands is None else tuple(bands)


def classes_of(model: object) -> tuple[str, ...] | None:
    """Names of a model's classes, from its card or itself; None if it does not say."""
    classes: Sequence[str] | None = getattr(_card(model), "classes", None)
    return None if classes is None else tuple(classes)


def foreground_of(model: object) -> tuple[int, ...] | None:
    """A model's foreground classes, from its card or itself; None if it does not say."""
    found: Sequence[int] | None = getattr(_card(model), "foreground", None)
    return None if found is None else tuple(found)


def _card(model: object) -> object:
    return getattr(model, "card", None) or model


def device_of(model: object) -> torch.device:
    """Where a model's weights are; the CPU for a model without weights."""
    if isinstance(model, nn.Module):
        for weight in model.parameters():
            return weight.device
    return torch.device("cpu")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are faster than float32 ones: AVX512-BF16 or AMX, or a GPU that has them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test is not None and bool(test()) for test in tests)


def resolved(precision: Precision, device: torch.device) -> Literal["bf16", "fp32"]:
    """What ``auto`` means on a device.

    Raises:
        SettingsError: an unknown precision.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise SettingsError(f"precision must be auto, bf16 or fp32, got {precision!r}")
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return precision


@contextmanager
def inference(model: object, precision: Precision) -> Iterator[torch.device]:
    """Evaluation mode without gradients at a precision; yields the model's device and restores its mode.

    Raises:
        SettingsError: an unknown precision.
    """
    device = device_of(model)
    bf16 = resolved(precision, device) == "bf16"
    was_training = isinstance(model, nn.Module) and model.training
    try:
        if isinstance(model, nn.Module):
            model.eval()
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            yield device
    finally:
        if isinstance(model, nn.Module) and was_training:
            model.train()
