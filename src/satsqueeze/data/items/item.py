"""One labelled or unlabelled image of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from satsqueeze.data.cards.card import DatasetCard
from satsqueeze.data.scene.channels import ReadRule

Role = Literal["evaluate", "train"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image with its label, by file; nothing is read yet."""

    id: str
    """Unique within a data set: ``source/name``."""
    source: str
    """Name of the source, by default its card's."""
    card: DatasetCard
    """How to read it."""
    images: tuple[str, ...]
    """Paths to open: one, or one per band."""
    file_bands: tuple[str, ...] = ()
    """The band of each file, where each band has its own."""
    label: str | None = None
    """Path of the label file; None where there is none."""
    label_expected: str | None = None
    """Where a label file was expected but not found: others of the source have one."""
    class_name: str = ""
    """The class that the path states, for ``label_kind: path``."""
    groups: tuple[str, ...]
    """All scenes or locations it derives from, ``space/scene``."""
    stratum: str = ""
    """By which folds are balanced."""
    role: Role = "evaluate"
    """``evaluate``: may be validated on; ``train``: never."""
    part: str = ""
    """The official part it belongs to, such as ``train``, where paths tell."""
    series: str = ""
    """The place of which it is one date, ``source/place``; empty where dates do not make series."""
    date: str = ""
    """When it was taken, see :func:`satsqueeze.data.items.acquisition.normal_date`; empty where nothing tells."""
    frame: int | None = None
    """Which date of its file it is, where one file holds all of them."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths to open: of the image, and last of its label where that has a file."""
        return (*self.images, self.label) if self.label else self.images

    @property
    def labelled(self) -> bool:
        """Whether it has a mask, or one class for all pixels."""
        return self.card.label_kind == "constant" or (self.card.label_kind == "mask" and self.label is not None)


def read_rule(card: DatasetCard) -> ReadRule:
    """How a card says that files are to be interpreted."""
    names = tuple(band.name for band in card.bands)
    orders = tuple(dict.fromkeys((names, *card.layouts))) if names and not card.separate_files else ()
    return ReadRule(
        orders=orders,
        bands=tuple(band.band() for band in card.bands),
        sensor=card.sensor,
        radiometry=card.radiometry_text,
        assumed=card.assumed,
        nodata=() if card.nodata is None else (card.nodata,),
        saturated=card.saturated,
        resample=card.resample,
        thermal=frozenset(band.name for band in card.bands if not band.reflective),
    )
