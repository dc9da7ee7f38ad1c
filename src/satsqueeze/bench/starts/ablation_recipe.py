"""An ablation of pre-training as read from YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that is varied, all others being as in the reference."""

    name: str
    reference: str
    """What the reference has, as tables and figures call it."""
    variants: Mapping[str, Mapping[str, Any]]
    """By name: what a comparison of starts then says instead, merged over the reference's YAML."""

    def __post_init__(self) -> None:
        if not self.name or not self.variants or self.reference in self.variants:
            raise SettingsError(
                f"a factor needs a name, and variants that are not called like its reference; got {self.name!r}, "
                f"{', '.join(self.variants) or 'no variant'} and {self.reference!r}"
            )


@dataclass(frozen=True, kw_only=True)
class AblationRecipe:
    """A comparison of starts that is made again with one thing changed at a time.

    Raises:
        SettingsError: no factor, or two of one name.
    """

    grid: Path
    """Recipe of the comparison of starts, beside this file."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What the reference says otherwise than that recipe, merged over it."""
    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        names = [factor.name for factor in self.factors]
        if not names or len(set(names)) < len(names):
            raise SettingsError(f"an ablation needs factors of different names, at least one; got {names}")

    def variants(self) -> Iterator[tuple[Factor, str, Mapping[str, Any]]]:
        """Every variant with its factor, its name and its changes."""
        for factor in self.factors:
            for name, changes in factor.variants.items():
                yield factor, name, changes
