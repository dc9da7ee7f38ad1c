"""A planning decision and the sentence that explains it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """One thing a planner decided, and why."""

    rule: str
    """Short name of the rule that decided, e.g. ``"batch-size"``."""
    reason: str
    """One sentence with the numbers that led to the decision."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {"rule": self.rule, "reason": self.reason}
