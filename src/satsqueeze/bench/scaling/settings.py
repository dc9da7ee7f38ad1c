"""What a search for the factors of compound scaling is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import require_seeds
from satsqueeze.learn.class_settings import ClassFitSettings


@dataclass(frozen=True, kw_only=True)
class ScalingSettings:
    """What a search tries, and how each trial is trained."""

    depths: tuple[float, ...] = (1.0, 4 / 3, 5 / 3, 2.0)
    """alpha; multiples of a third are whole blocks."""
    resolutions: tuple[float, ...] = (1.0, 1.125, 1.25, 1.375)
    """gamma; multiples of an eighth are whole pixels of 64."""
    cost: float = 2.0
    """MACs of every trial in those of B0; the width, beta, follows from it."""
    seeds: tuple[int, ...] = (0,)
    """Of weights and training; each is a trial of its own."""
    fit: ClassFitSettings = field(default_factory=lambda: ClassFitSettings(epochs=6, keep="last"))
    """Of every trial alike."""

    def __post_init__(self) -> None:
        require_seeds(self.seeds, of="search")
        if not self.cost > 1 or min(min(found, default=0) for found in (self.depths, self.resolutions)) < 1:
            raise SettingsError(
                "a search needs a cost above 1, and at least one depth and one resolution, each of at least 1; got "
                f"{self.cost}, {self.depths} and {self.resolutions}"
            )
        if self.fit.keep != "last":
            raise SettingsError("a search compares last weights on validation images; set fit.keep to last")
