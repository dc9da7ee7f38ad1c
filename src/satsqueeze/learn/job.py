"""One training run: what it works on and how far it has come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from satsqueeze.core.metrics import mean_jaccard
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.progress import Course
from satsqueeze.learn.scoring.evaluate import Evaluation, ScoreSettings, score
from satsqueeze.learn.settings import FitSettings, TrainSettings
from satsqueeze.nets.model import SegmentationModel

MEAN_JACCARD = "mean_jaccard"
"""Of all classes alike: what counts in land cover, where no class is the foreground."""


@dataclass(kw_only=True)
class Job(ABC):
    """A training run."""

    model: SegmentationModel
    cache: PackedCache
    split: Split
    settings: TrainSettings
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

    @property
    @abstractmethod
    def headline(self) -> str:
        """Name of the score by which the best epoch is chosen."""

    @abstractmethod
    def score(self, model: SegmentationModel, *, final: bool) -> dict[str, Any]:
        """Metrics of a model on the validation images, with the headline among them; in full precision if ``final``."""


@dataclass(kw_only=True)
class SegmentationJob(Job):
    """Training to segment."""

    settings: FitSettings
    scorer: Callable[..., Evaluation] = score
    """Scores a model on items of a cache; of series, :func:`satsqueeze.learn.scoring.series.score_series`."""

    @property
    def headline(self) -> str:
        """Global Jaccard of the foreground; where the data set names no foreground, its mean over classes."""
        return "jaccard" if self.cache.foreground else MEAN_JACCARD

    def score(self, model: SegmentationModel, *, final: bool) -> dict[str, Any]:
        """See :meth:`Job.score`; in full overlap, too, if ``final``."""
        settings = ScoreSettings(
            window=self.settings.window,
            overlap=0.5 if final else self.settings.validation_overlap,
            precision="fp32" if final else self.settings.precision,
        )
        found = self.scorer(model, self.cache, self.split.validation, settings=settings)
        return found.to_dict() | ({} if self.cache.foreground else {MEAN_JACCARD: mean_jaccard(found.metrics)})
