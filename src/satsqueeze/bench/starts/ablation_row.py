"""One line per training of an ablation of pre-training."""

from __future__ import annotations

from satsqueeze.bench.starts.row import InitRow


class AblationRow(InitRow):
    """A row of a comparison of starts, and what was varied in it."""

    called = "row of an ablation"
    made_by = "the ablation"

    factor: str
    """Empty for the random start."""
    value: str
    is_reference: bool

    @property
    def cell(self) -> tuple[str, str]:
        """Factor and value."""
        return self.factor, self.value
