"""What a training run for decisions on whole images is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.augment.images import ClassAugmentSettings
from satsqueeze.learn.schedule import OptimiserName, ScheduleName
from satsqueeze.learn.settings import TrainSettings

DECK = 0
"""Steps per epoch that mean: as many as deal every image once."""


@dataclass(frozen=True, kw_only=True)
class ClassFitSettings(TrainSettings):
    """One run in classification. The defaults suit small networks on small images."""

    epochs: int = 30
    """Rounds of `steps_per_epoch` steps; weights are saved and validated between them."""
    steps_per_epoch: int = DECK
    """0 = as many as deal every image once."""
    batch_size: int = 128
    """Patches or images in a step."""
    learning_rate: float = 5e-3
    """The highest of the schedule."""
    optimiser: OptimiserName = "adamw"
    """`sgd` (Nesterov), `adamw` or `muon`."""
    schedule: ScheduleName = "onecycle"
    """Of the learning rate: `poly` and `cosine` fall from the start, `onecycle` rises first."""
    weight_decay: float = 0.05
    """Not of norms and biases."""
    momentum: float = 0.9
    """Of ``sgd``."""
    clip_norm: float = 0.0
    """Limit of the gradient's norm; 0 = no limit."""
    label_smoothing: float = 0.1
    """Share of the targets that is spread over all classes, in the default objective."""
    score_smoothing: float = 0.0
    """Weight of the past in the smoothed validation score that chooses the best epoch."""
    freeze_epochs: int = 0
    """Epochs at the start in which what was taken over from another run keeps its weights and its norms' statistics;
    only the head is trained, and the first layer where a band is fresh."""
    augment: ClassAugmentSettings = field(default_factory=ClassAugmentSettings)
    """Changes of images in training."""

    def __post_init__(self) -> None:
        if self.steps_per_epoch == DECK:
            replace(self, steps_per_epoch=1)  # checks all the rest
            return
        super().__post_init__()
        if not 0 <= self.freeze_epochs <= self.epochs:
            raise SettingsError(
                f"freeze_epochs must lie in 0..{self.epochs}, the number of epochs; got {self.freeze_epochs}"
            )
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.momentum < 1:
            raise SettingsError(
                f"label smoothing and momentum must lie in [0, 1), got {self.label_smoothing} and {self.momentum}"
            )

    def for_images(self, count: int) -> Self:
        """These settings with the number of steps in an epoch written out, for a number of images to train on."""
        if self.steps_per_epoch != DECK:
            return self
        return replace(self, steps_per_epoch=max(1, -(-count // self.batch_size)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record of all that the result depends on."""
        record = super().to_dict()
        # Left out where it changes nothing, so that trainings from before it was there resume.
        if not self.augment.corrupt:
            del record["augment"]["corrupt"]
        if not self.freeze_epochs:
            del record["freeze_epochs"]
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            SettingsError: unknown keys, or values that cannot be.
        """
        try:
            augment = ClassAugmentSettings(**record.get("augment", {}))
            return cls(**{**record, "augment": augment})
        except TypeError as error:
            raise SettingsError(f"not settings of a training: {error}") from error
