"""A transfer experiment as read from YAML: a source, a target, and what is compared on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import require_folder_names, require_seeds
from satsqueeze.data.class_stage import ClassPrepareSettings
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.nets.band_match import TOLERANCE_NM


@dataclass(frozen=True, kw_only=True)
class TransferStart:
    """Where the weights of a training come from."""

    name: str
    transferred: bool
    """From the source; else drawn by the seed."""
    freeze_epochs: int = 0
    """See :class:`satsqueeze.learn.class_settings.ClassFitSettings`."""

    def __post_init__(self) -> None:
        if self.freeze_epochs and not self.transferred:
            raise SettingsError(f"the start {self.name!r} is not transferred, so nothing of it can be frozen")


STARTS = (TransferStart(name="random", transferred=False), TransferStart(name="transferred", transferred=True))


@dataclass(frozen=True, kw_only=True)
class TransferRecipe:
    """What is compared: starts x label fractions x seeds, each at the learning rate that suits it best.

    Raises:
        SettingsError: nothing to compare, or values that repeat or cannot be.
    """

    source: ClassPrepareSettings
    """Images to train the source on; those of places that the target shows are left out."""
    source_fit: ClassFitSettings
    target: ClassPrepareSettings
    model: str = "resnet8"
    """A name of the zoo, for either."""
    fit: ClassFitSettings
    """The budget of every training on the target; its learning rate and seed are replaced, and starts freeze."""
    starts: tuple[TransferStart, ...] = STARTS
    fractions: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """Shares of the target's training labels."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the labels that are drawn and of the training."""
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Learning rates that are tried for every start and fraction; the mean validation score over seeds decides."""
    tolerance_nm: float = TOLERANCE_NM
    """Largest difference of centre wavelengths, for bands without a namesake."""

    def __post_init__(self) -> None:
        names = tuple(start.name for start in self.starts)
        require_folder_names(names)
        require_seeds(self.seeds, of="transfer")
        for label, values in (
            ("starts", names),
            ("fractions", self.fractions),
            ("rates", self.rates),
        ):
            if not values or len(set(values)) < len(values):
                raise SettingsError(f"a transfer experiment needs different {label}, at least one; got {list(values)}")
        if not all(0 < value <= 1 for value in self.fractions) or min(self.rates) <= 0:
            raise SettingsError(
                f"fractions must lie in (0, 1] and rates be > 0, got {list(self.fractions)} and {list(self.rates)}"
            )
        if self.fit.freeze_epochs:
            raise SettingsError(
                f"fit.freeze_epochs is {self.fit.freeze_epochs}, but each start says what it freezes; set it in "
                "'starts'"
            )
        for start in self.starts:
            replace(self.fit, freeze_epochs=start.freeze_epochs)
