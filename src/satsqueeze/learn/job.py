"""One training run: what it works on and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.cache import PackedCache
from satsqueeze.data.splits import Split
from satsqueeze.learn.evaluate import ScoreSettings, score
from satsqueeze.learn.progress import Course
from satsqueeze.learn.segmenter import Segmenter
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.model import SegmentationModel


@dataclass(kw_only=True)
class Job:
    """A training run."""

    model: SegmentationModel
    cache: PackedCache
    split: Split
    settings: FitSettings
    folder: Path
    targets: str
    """What is minimised, for the fingerprint."""
    course: Course = field(default_factory=Course)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that the result depends on, but for the starting weights."""
        return fingerprint_of(
            {
                "cache": self.cache.fingerprint,
                "card": self.model.card.to_dict(),
                "train": [str(identifier) for identifier in self.split.train],
                "validation": [str(identifier) for identifier in self.split.validation],
                "settings": self.settings.to_dict(),
                "targets": self.targets,
            }
        )

    def score(self, model: Segmenter, *, final: bool) -> dict[str, Any]:
        """Metrics of a model on the validation images, in full precision and overlap if ``final``."""
        settings = ScoreSettings(
            window=self.settings.window,
            overlap=0.5 if final else self.settings.validation_overlap,
            precision="fp32" if final else self.settings.precision,
        )
        return score(model, self.cache, self.split.validation, settings=settings).to_dict()
