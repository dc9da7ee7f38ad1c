"""Pre-training as a stage of the whole job, for the folds of the teacher to start from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from satsqueeze.core.errors import SettingsError
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.view_settings import ViewSettings

_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class TeacherPretraining:
    """Dense contrast before the teacher is trained; off by default. 'satsqueeze pretrain' has all settings."""

    epochs: int = 0
    """0 = none: the teacher starts from its seed."""
    steps_per_epoch: int = 50
    batch_size: int = 8
    """Pairs of views."""
    learning_rate: float = 3e-3
    place: str = ""
    """Regular expression whose first ``(...)``, searched in an item's name, is its place, such as ``(p\\d+)_d``: two
    dates of a place are two views. Empty: the place that the card states as its series; else every item is one."""

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise SettingsError(f"pre-training lasts 0 epochs (none) or more, got {self.epochs}")
        self.told(classes=(), multiple=1, seed=0)

    def told(self, *, classes: Collection[str], multiple: int, seed: int) -> PretrainSettings:
        """Settings of the run.

        Where clouds are what the teacher is to find, pairs are drawn on them as on all else, and neither haze nor cloud
        is drawn over a view: features must not become blind to them.

        Args:
            classes: names of the classes to be found.
            multiple: of which the network takes sizes, pixels.
            seed: of network and views.

        Raises:
            SettingsError: a setting out of range.
        """
        # An instance norm needs more than one pixel of the deepest features.
        views = ViewSettings(size=multiple * max(2, -(-_SIDE // multiple)), place=self.place)
        if set(views.avoid) & set(classes):
            views = ViewSettings(size=views.size, place=self.place, avoid=(), haze=0.0, clouds=0.0)
        return PretrainSettings(
            epochs=max(self.epochs, 1),
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=seed,
            views=views,
        )
