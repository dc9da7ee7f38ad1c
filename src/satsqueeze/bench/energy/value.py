"""Energy, or the reason why there is no figure; and what every meter does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Clock = Callable[[], float]
"""Seconds from any origin."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy that a part of the machine took during an interval, its idle draw included."""

    joules: float
    seconds: float
    """Length of the interval; 0 for an estimate."""
    domain: str
    """The part, such as ``package-0 + dram``, ``VDD_IN`` or ``GPU 0``."""
    method: str
    """How the figure was had; an estimate says so here."""

    @property
    def watts(self) -> float:
        """Mean power; NaN for an estimate."""
        return self.joules / self.seconds if self.seconds > 0 else float("nan")


@dataclass(frozen=True)
class NotMeasured:
    """There is no figure, and why."""

    reason: str

    def __str__(self) -> str:
        return "not measured"


class Meter(Protocol):
    """Counts energy between :meth:`start` and :meth:`stop`; can be used again and again."""

    def start(self) -> None:
        """Begin to count."""
        ...

    def stop(self) -> Energy | NotMeasured:
        """End, and say what was counted."""
        ...


@dataclass(frozen=True)
class NoMeter:
    """The meter of a machine without one."""

    reason: str

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> NotMeasured:
        """The reason."""
        return NotMeasured(self.reason)
