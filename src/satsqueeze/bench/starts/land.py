"""The land that starts of training are compared on: generated or given, packed, with shares of its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.made_folder import claim
from satsqueeze.data.series import series_of
from satsqueeze.data.splits.label_share import share_of_labels
from satsqueeze.data.splits.parts import named_split
from satsqueeze.data.splits.place_share import share_of_places
from satsqueeze.data.splits.split import Split, ThreeWaySplit
from satsqueeze.data.synth.landcover_writer import write_land_cover
from satsqueeze.nets.card import ModelCard
from satsqueeze.pretrain.card import network_card, over_dates


@dataclass(frozen=True, kw_only=True)
class Land:
    """The packed images of a region."""

    cache: PackedCache
    split: ThreeWaySplit
    by_place: bool
    """Whether networks over dates learn from it: places are shared out and counted then, not images."""

    def drawn(self, share: float, seed: int) -> tuple[str, ...]:
        """A share of the training images, or places.

        Raises:
            SplitError: it leaves a class without an image.
        """
        draw = share_of_places if self.by_place else share_of_labels
        return draw(self.cache, self.split.train, share=share, seed=seed)

    def labelled(self, share: float, seed: int) -> Split:
        """A share of the training labels, and the validation images.

        Raises:
            SplitError: as :meth:`drawn`.
        """
        return Split(train=self.drawn(share, seed), validation=self.split.validation)

    def count(self, ids: Sequence[str]) -> int:
        """Of images, or places."""
        return len(series_of(self.cache, ids)) if self.by_place else len(ids)

    def card(self, model: str) -> ModelCard:
        """A rung of the ladder of students as a network for this land."""
        ids, cache = self.split.train, self.cache
        card = network_card(model, cache, ids, classes=cache.classes, foreground=cache.foreground)
        return over_dates(card) if self.by_place else card


def prepare_land(recipe: InitRecipe, name: str, place: Path, say: Callable[[str], None]) -> Land:
    """The land of a region, generated where the recipe names no data of its own; what is there is kept.

    Args:
        recipe: of the comparison.
        name: of the region.
        place: folder of its images.
        say: told of what is generated.

    Raises:
        SplitError: names that state no parts.
        RunError: the folder holds images that were made with other settings.
    """
    data = recipe.region(name).data
    if not data:
        data = str(place / "data")
        settings = replace(recipe.land, country=name)
        claim(place / "data", settings)
        # The card is written last, and its absence tells of an interrupted generation.
        if not (place / "data/dataset.yaml").is_file():
            say(f"{name}: generating {sum(settings.places)} places at {settings.dates} dates")
            write_land_cover(settings, place / "data")
    packed = pack(open_dataset(data), place / "cache")
    return Land(cache=packed, split=named_split(packed.entries), by_place=bool(recipe.series))
