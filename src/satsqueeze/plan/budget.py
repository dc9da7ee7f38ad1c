"""Budgets on the target device and on training time, and the rules by which a plan is shrunk to meet them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan.activation_memory import peak_activation_bytes
from satsqueeze.plan.cost_model import macs_per_pixel, parameter_count
from satsqueeze.plan.unet_plan import UNetPlan

FIGURES = ("parameters", "macs_per_pixel", "activation_bytes", "train_minutes")
"""The figures a budget may limit."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Upper limits; None means no limit.

    Raises:
        SettingsError: if a limit is not a positive number.
    """

    parameters: int | None = None
    """Trainable parameters, auxiliary heads included."""
    macs_per_pixel: float | None = None
    """Convolution multiply-accumulates per input pixel at inference."""
    activation_bytes: int | None = None
    """Peak memory of float32 feature maps in bytes, at inference on one patch of the plan's size."""
    train_minutes: float | None = None
    """Minutes of training; needs a measured `TrainingLoad`."""

    def __post_init__(self) -> None:
        for name in FIGURES:
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise SettingsError(f"budget {name}: got {limit}, expected a positive number or nothing")

    @classmethod
    def from_dict(cls, record: Mapping[str, float | None]) -> Budget:
        """Read limits by name, as from a budget file.

        Raises:
            SettingsError: if a name is not one of `FIGURES`, or a limit is not a positive number.
        """
        unknown = [name for name in record if name not in FIGURES]
        if unknown:
            raise SettingsError(f"budget: got {', '.join(unknown)}, expected only {', '.join(FIGURES)}")
        for name, limit in record.items():
            if limit is not None and not (type(limit) in (int, float) and math.isfinite(limit)):
                raise SettingsError(f"budget {name}: got {limit!r}, expected a positive number or nothing")
        return cls(
            parameters=_whole(record.get("parameters")),
            macs_per_pixel=record.get("macs_per_pixel"),
            activation_bytes=_whole(record.get("activation_bytes")),
            train_minutes=record.get("train_minutes"),
        )


def _whole(limit: float | None) -> int | None:
    return None if limit is None else math.floor(limit)


@dataclass(frozen=True, kw_only=True)
class TrainingLoad:
    """How much training there is, and how fast the machine does it.

    Raises:
        SettingsError: if a number is not positive.
    """

    macs_per_second: float
    """Multiply-accumulates per second that training reaches on the machine; measure it."""
    epochs: int = 1000
    steps_per_epoch: int = 250
    passes: float = 3.0
    """Cost of a training step in forward passes: one forward, and a backward that costs about two."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"training {item.name}: got {value}, expected a positive number")

    def minutes(self, plan: UNetPlan, *, macs: float) -> float:
        """Minutes of training `plan`, whose network does `macs` multiply-accumulates per pixel."""
        pixels = math.prod(plan.patch_size) * plan.batch_size * self.steps_per_epoch * self.epochs
        return pixels * macs * self.passes / self.macs_per_second / 60


@dataclass(frozen=True, kw_only=True)
class PlanCost:
    """What a plan costs."""

    parameters: int
    """Trainable parameters, auxiliary heads included."""
    macs_per_pixel: float
    """Convolution multiply-accumulates per input pixel at inference."""
    activation_bytes: int
    """Peak memory of float32 feature maps in bytes, at inference on one patch."""
    train_minutes: float | None
    """None where no training load was given."""

    def exceeded(self, budget: Budget) -> tuple[str, ...]:
        """Names of the figures that are over their limit."""
        over = []
        for name in FIGURES:
            limit, figure = getattr(budget, name), getattr(self, name)
            if limit is not None and figure is not None and figure > limit:
                over.append(name)
        return tuple(over)


def plan_cost(plan: UNetPlan, *, channels: int, labels: int, training: TrainingLoad | None = None) -> PlanCost:
    """Count what `plan` costs for images of `channels` bands and `labels` classes.

    Raises:
        SettingsError: if `channels` or `labels` is below 1.
    """
    architecture = plan.architecture
    macs = macs_per_pixel(architecture, channels=channels, labels=labels)
    return PlanCost(
        parameters=parameter_count(architecture, channels=channels, labels=labels),
        macs_per_pixel=macs,
        activation_bytes=peak_activation_bytes(
            architecture, channels=channels, labels=labels, patch_size=plan.patch_size
        ),
        train_minutes=None if training is None else training.minutes(plan, macs=macs),
    )
