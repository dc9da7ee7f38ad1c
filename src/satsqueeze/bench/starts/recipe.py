"""A comparison of starts over label fractions as read from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant, require_folder_names, require_seeds
from satsqueeze.data.synth.landcover_writer import LandCoverSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.named import named_network
from satsqueeze.nets.students import student_card
from satsqueeze.pretrain.settings import PretrainSettings

Start = Literal[
    "random",
    "same-region",
    "other-region",
    "other-continent",
    "supervised",
    "given",
    "distilled",
    "same-region-distilled",
]
STARTS: tuple[Start, ...] = get_args(Start)[:5]
"""Those that need no network from elsewhere."""
DISTILLED: tuple[Start, ...] = ("distilled", "same-region-distilled")


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where images are from."""

    name: str
    """Of the region; of a generated country, where no data is named."""
    continent: str
    data: str = ""
    """Folder of a data set whose names state parts, as 'satsqueeze mosaic' writes them; empty: generated."""


@dataclass(frozen=True, kw_only=True)
class InitRecipe:
    """What is compared: targets x starts x label fractions x seeds, each at the learning rate that suits it best.

    ``random`` is drawn by the seed. ``same-region`` is pre-trained on the training images of the target without labels;
    ``other-region`` on those of another region of its continent; ``other-continent`` on those of one elsewhere;
    ``supervised`` is trained with all labels of the other region. ``given`` takes over what fits of a network that was
    trained elsewhere, such as a classifier of the zoo as an encoder. ``distilled`` is drawn by the seed, and
    ``same-region-distilled`` pre-trained, but both learn from a teacher's answers on all training images, besides the
    same labels; the teacher has learnt from these labels alone, and was pre-trained at home.

    Raises:
        SettingsError: nothing to compare, values that repeat or cannot be, or a region that a start needs is lacking.
    """

    regions: tuple[Region, ...]
    pretrain: PretrainSettings
    fit: FitSettings
    """The budget of every training on a target; its learning rate and seed are replaced."""
    supervised: FitSettings
    """Of the training whose network is transferred."""
    model: str = "unet-8"
    """A rung of the ladder of students, or ``encoder:resnet8``; see :mod:`satsqueeze.nets.named`."""
    given: str = ""
    """Run folder or flight package that the start ``given`` takes over."""
    series: int = 0
    """Dates of a place that a training of a network over dates reads in a step; 0: of networks of one date. Shares of
    labels then are of places, and pre-training needs ``views.series``."""
    teacher: str = ""
    """A rung of the ladder of students, for starts that are distilled; of networks of one date."""
    teach: FitSettings | None = None
    """The budget of the teacher's training on the labels; its seed is replaced."""
    unlabelled: float = 1.0
    """Share of a region's training images, or places, that pre-training sees."""
    land: LandCoverSettings = LandCoverSettings(country="alba")  # noqa: RUF009 - frozen
    """Of generated regions; the country is replaced."""
    targets: tuple[str, ...] = ()
    """Names of regions; empty: all in turn."""
    starts: tuple[Start, ...] = STARTS
    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    """Shares of the target's training labels."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the labels that are drawn and of the training."""
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Learning rates that are tried for every start and fraction; the mean validation score over seeds decides."""

    def __post_init__(self) -> None:
        names = tuple(region.name for region in self.regions)
        require_folder_names(names)
        require_seeds(self.seeds, of="comparison of starts")
        for label, values in (
            ("regions", names),
            ("starts", self.starts),
            ("fractions", self.fractions),
            ("rates", self.rates),
        ):
            if not values or len(set(values)) < len(values):
                raise SettingsError(f"a comparison of starts needs different {label}, at least one; got {list(values)}")
        shares = (*self.fractions, self.unlabelled)
        if not all(0 < value <= 1 for value in shares) or min(self.rates) <= 0:
            raise SettingsError(
                f"fractions and unlabelled must lie in (0, 1] and rates be > 0, got {list(self.fractions)}, "
                f"{self.unlabelled} and {list(self.rates)}"
            )
        if self.series < 0 or bool(self.series) is not bool(self.pretrain.views.series):
            raise SettingsError(
                f"series is the number of dates that networks over dates are trained with, and theirs are pre-trained "
                f"with pretrain.views.series; set both or none, got {self.series} and {self.pretrain.views.series}"
            )
        named_network(self.model)
        if ("given" in self.starts) is not bool(self.given):
            raise SettingsError(
                "the start 'given' and 'given', the run folder or flight package that it takes over, go together; got "
                f"starts {', '.join(self.starts)} and given {self.given!r}"
            )
        if set(self.starts) & set(DISTILLED):
            if self.series or not self.teacher or self.teach is None:
                raise SettingsError(
                    "starts that are distilled need networks of one date, 'teacher', a larger student, and 'teach', "
                    f"its training; got series {self.series}, teacher {self.teacher!r} and "
                    f"{'no teach' if self.teach is None else 'teach'}"
                )
            student_card(self.teacher)
        for target in self.targets or names:
            for start in self.starts:
                self.source(target, start)

    def region(self, name: str) -> Region:
        """The region of that name.

        Raises:
            SettingsError: there is none.
        """
        found = next((region for region in self.regions if region.name == name), None)
        if found is None:
            raise SettingsError(f"no region is called {name!r}; there are {', '.join(r.name for r in self.regions)}")
        return found

    def source(self, target: str, start: Start) -> Region | None:
        """The region that a start has learnt from, None where it is of none.

        Raises:
            SettingsError: an unknown start, or no region of the kind that it needs.
        """
        if start not in get_args(Start):
            known = get_args(Start)
            raise SettingsError(f"unknown start {start!r}; {meant(start, known)}known: {', '.join(known)}")
        own = self.region(target)
        if start in ("random", "given", "distilled"):
            return None
        if start in ("same-region", "same-region-distilled"):
            return own
        elsewhere = start == "other-continent"
        for region in self.regions:
            if region.name != target and (region.continent != own.continent) is elsewhere:
                return region
        where = "another continent than" if elsewhere else "the same continent as"
        raise SettingsError(f"the start {start} of {target} needs a region on {where} it; add one, or leave it out")
