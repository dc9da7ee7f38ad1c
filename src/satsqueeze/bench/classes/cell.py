"""One training of a comparison: who learns what from whom, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from satsqueeze.bench.classes.recipe import Network, Side, TrainedNetwork, Way
from satsqueeze.core.files import read_json
from satsqueeze.learn.class_settings import ClassFitSettings

RECORD, HELD = "cell.json", "held.npz"
LABELS = Way(name="labels")
"""How teachers learn."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training."""

    network: Network
    way: Way = LABELS
    seed: int
    place: Path
    fit: ClassFitSettings
    side: Side = "train"
    """Images to learn from."""

    @property
    def is_teacher(self) -> bool:
        """Whether the network is a teacher of the recipe."""
        return isinstance(self.network, TrainedNetwork)

    @property
    def title(self) -> str:
        """For the log."""
        taught = "" if self.is_teacher else f", {self.way.name}"
        return f"{self.network.name}{taught}, seed {self.seed}"

    @property
    def settings(self) -> ClassFitSettings:
        """Of the training: the last weights stay, since nothing is chosen by held images."""
        smoothing = self.way.label_smoothing
        chosen = self.fit.label_smoothing if smoothing is None else smoothing
        return replace(self.fit, seed=self.seed, keep="last", label_smoothing=chosen)

    @property
    def key(self) -> list[Any]:
        """What its scores depend on, but for the data and the teachers; names do not count."""
        way, network = self.way, self.network
        told = [way.policy, way.settings, way.temperature, way.calibrated, way.pooled] if way.teachers else []
        if way.attention:
            # Only where it is on, so that cells from before it was there stay valid.
            told = [*told, {"attention": way.attention}]
        return [self.side, network.model, network.dropout, self.settings.to_dict(), told]

    @property
    def record(self) -> dict[str, Any]:
        """What was written when the training had been scored; empty before."""
        path = self.place / RECORD
        record: dict[str, Any] = read_json(path) if path.is_file() else {}
        return record
