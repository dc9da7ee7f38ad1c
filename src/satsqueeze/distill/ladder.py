"""The ladder: students from large to small, measured alike, and the one that a budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from satsqueeze.core.errors import BudgetError
from satsqueeze.plan.budget import FIGURES, Budget

NEARLY = 0.95
"""Share of a wanted compression that counts as meeting it, since widths come in whole channels."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A trained student and what it costs."""

    name: str
    folder: str
    """Model folder, relative to the run."""
    parameters: int
    macs_per_pixel: float
    activation_bytes: int
    """Peak memory of float32 feature maps for one patch of the plan's size."""
    jaccard: float
    """Global foreground Jaccard on validation."""
    compression: float
    """Parameters of the teacher network divided by the student's."""
    train_minutes: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Rung:
        """Inverse of :meth:`to_dict`."""
        return cls(**record)

    def exceeded(self, budget: Budget) -> tuple[str, ...]:
        """Names of the figures over their limit; training time is no property of what flies."""
        figures = (name for name in FIGURES if name != "train_minutes")
        return tuple(name for name in figures if (limit := getattr(budget, name)) and getattr(self, name) > limit)


def choose(rungs: Sequence[Rung], budget: Budget, *, compression: float = 0.0) -> Rung:
    """The rung with the best validation Jaccard among those that meet the budget.

    Args:
        rungs: at least one.
        budget: limits on parameters, MACs per pixel and activation bytes.
        compression: least ratio of teacher to student parameters; 0 for no such limit; ``NEARLY`` of it counts as
            meeting it.

    Raises:
        BudgetError: no rung meets the limits; the message names the nearest.
    """
    fitting = [r for r in rungs if not r.exceeded(budget) and r.compression >= NEARLY * compression]
    if fitting:
        return max(fitting, key=lambda rung: (rung.jaccard, -rung.parameters))
    smallest = min(rungs, key=lambda rung: rung.parameters)
    limits = ", ".join(f"{name} <= {getattr(budget, name):g}" for name in FIGURES if getattr(budget, name) is not None)
    raise BudgetError(
        f"no student meets the limits ({limits or 'none'}; compression >= {compression:g}): the smallest trained one, "
        f"'{smallest.name}', has {smallest.parameters} parameters, {smallest.macs_per_pixel:g} MACs per pixel, "
        f"{smallest.activation_bytes} bytes of activations and compression {smallest.compression:.0f}. "
        "Raise the limit or add a smaller student to the ladder"
    )
