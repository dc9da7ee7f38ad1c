"""Dataset cards: what a data set is, where its files lie and what their numbers mean, in YAML."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from satsqueeze.core.bands import Band
from satsqueeze.core.labels import CLOUD_CLASSES, CLOUD_FOREGROUND, IGNORE
from satsqueeze.core.names import meant
from satsqueeze.data.cards.pattern import PathPattern, anywhere
from satsqueeze.data.scene.band_naming import CARD_SENSORS, TABLES, common_name, known_band, told_sensor
from satsqueeze.data.scene.radiometric_statement import parse_radiometry

IN_WORDS = {"description", "licence", "how_to_get", "source"}
"""Fields that say something about a data set and nothing about how its files are read."""
Task = Literal["segmentation", "classification", "multi-label", "unlabelled"]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class CardBand(_Model):
    """A band as a card lists it, in channel order."""

    name: str
    """STAC common name."""
    wavelength_nm: float = 0.0
    gsd_m: float = 10.0
    file: str = ""
    """What stands for the band in file names, where each band has its own file."""
    reflective: bool = True
    """False for thermal bands: their values are kelvin and never enter a cache."""

    def band(self) -> Band:
        """The value type that travels."""
        return Band(name=self.name, wavelength_nm=self.wavelength_nm, gsd_m=self.gsd_m)


class GroupTable(_Model):
    """A CSV file that tells something of each item, such as its group: On Cloud N's locations."""

    file: str
    """Path pattern."""
    key: str
    """Column that holds what the template gives."""
    value: str
    """Column that holds what is told."""


class ArrayRule(_Model):
    """Files that hold all dates of a place as arrays: ``.npy``, ``.npz``, or a pickled dictionary of arrays.

    A pickle may hold arrays, numbers, texts, lists and dictionaries; anything else in it is refused, never run.
    """

    axes: str = "TCHW"
    """Order of the axes: date T, band C, row H, column W; without C where each array is one band."""
    keys: tuple[str, ...] = ()
    """Names of the arrays in channel order; empty for the one array of a ``.npy`` file."""
    label_key: str = ""
    """Name of the label array, where the file of the images holds it too."""
    dates_key: str = ""
    """Name of the dates: an array of the same file, or a field of the JSON file."""
    dates_file: str = ""
    """Path pattern of the JSON file with the dates, joined to images by the names they share."""
    record_key: str = ""
    """Property by which a record of a GeoJSON file is told, which then has the dates of one item."""
    record_name: str = ""
    """Template of what that property is for an item."""
    group_key: str = ""
    """Property of that record which is the item's group."""
    dates: tuple[str, ...] = ()
    """The dates themselves, where all files have the same ones and none tells."""

    @pydantic.field_validator("axes")
    @classmethod
    def _known_axes(cls, value: str) -> str:
        if sorted(value) not in (sorted("TCHW"), sorted("THW")):
            raise ValueError("axes are the letters T, C, H and W in some order, or T, H and W")
        return value

    @pydantic.model_validator(mode="after")
    def _records(self) -> ArrayRule:
        if bool(self.record_key) != bool(self.record_name) or (self.record_key and not self.dates_file):
            raise ValueError("record_key and record_name go together and need dates_file")
        return self


class DatasetCard(_Model):
    """One data set; the fields of a card file. Patterns: :class:`satsqueeze.data.cards.pattern.PathPattern`."""

    name: str
    description: str
    licence: str
    how_to_get: str
    task: Task = "segmentation"
    sensor: str = ""
    """One of :data:`satsqueeze.data.scene.band_naming.CARD_SENSORS`, whose numbers of bands and pixel sizes are meant;
    empty: numbers are Sentinel-2's, sizes are not known."""
    bands: tuple[CardBand, ...] = ()
    """Channel order of a multi-band file, or one entry per file; empty where the files name their channels."""
    files: tuple[str, ...] = ()
    """What ``{file}`` of the image pattern may be, in channel order, where an image lies in several files with several
    bands each."""
    layouts: tuple[tuple[str, ...], ...] = ()
    """Further channel orders that files may have, told apart by their number of channels."""
    images: str
    """Path pattern of image files; with ``{band}`` where each band has its own file."""
    labels: tuple[str, ...] = ()
    """Path patterns of label files, tried in order; joined to images by the names they share."""
    label_kind: Literal["mask", "path", "json", "constant", "none"] = "mask"
    """``path``: the class is the ``{label}`` of the image pattern; ``json``: a list under ``labels``."""
    label_band: int | None = None
    """Which channel of label files holds the classes, counted from 1; by default they must have one channel only."""
    least_share: float = 0.0
    """Share of the pixels of its mask that count which a class needs for the whole image to have it, for multi-label
    cards with masks; with 0, one pixel is enough."""
    needs_class: bool = False
    """Whether an image that has none of the classes is left out, for multi-label cards whose labels may all be ones
    that do not count; by default it is one that shows none of them."""
    constant_label: int | None = None
    """The class of every valid pixel, for ``label_kind: constant``."""
    ignore: int | None = None
    """Raw label that means "do not count", besides what ``label_map`` sends to 255."""
    label_map: dict[int | str, int] = {}
    """Raw label -> class, 255 = ignore; empty: raw values are classes."""
    others: int | None = None
    """Class of raw labels that ``label_map`` does not name, 255 = ignore; by default they are an error."""
    classes: tuple[str, ...] = CLOUD_CLASSES
    foreground: tuple[int, ...] = CLOUD_FOREGROUND
    item: str = ""
    """Template of an item's name; by default the file name without its suffix."""
    listed: str = ""
    """Path pattern of what official lists call an item, where it is another name than ``item``, such as that of another
    of its files; what it captures fills ``item``."""
    group: str = ""
    """The scene or location: a template, or an expression whose first ``(...)`` is searched in the item's name; by
    default the ``series``, else every item is its own group."""
    group_space: str = ""
    """Groups of cards with the same space and name are the same place; by default the card's name."""
    group_table: GroupTable | None = None
    series: str = ""
    """The place of which an item is one date: a template or an expression, like ``group``; empty: no series."""
    date: str = ""
    """When an item was taken, likewise, see :func:`satsqueeze.data.items.acquisition.normal_date`; by default what the
    name of a Sentinel-2 or Landsat product says. Only where ``series`` is stated."""
    date_table: GroupTable | None = None
    """A CSV file that tells the date of what the ``date`` template gives."""
    arrays: ArrayRule | None = None
    """For files that hold all dates of a place: each date becomes an item, and the file a series."""
    stratum: str = ""
    """Template or expression, like ``group``, by which folds are balanced."""
    scale: float | None = None
    """Reflectance per digital number: short for ``radiometry: scale:<scale>:<offset>``."""
    offset: float = 0.0
    """Reflectance of digital number 0, with ``scale``."""
    source: str = ""
    """Where the files come from, in words."""
    radiometry: str = "auto"
    """How numbers become reflectance; see :func:`satsqueeze.data.scene.radiometric_statement.parse_radiometry`."""
    assumed: str = ""
    """What the card assumes about radiometry without evidence; recorded with every image."""
    nodata: float | None = None
    """Digital number that means "no measurement"."""
    saturated: float | None = None
    """Digital number at and above which a pixel is invalid."""
    resample: bool = False
    """Whether bands of coarser files are resampled to the finest one."""

    @pydantic.field_validator("sensor")
    @classmethod
    def _known_sensor(cls, value: str) -> str:
        if value and value not in CARD_SENSORS:
            raise ValueError(f"unknown sensor; {meant(value, CARD_SENSORS)}known: {', '.join(CARD_SENSORS)}")
        return value

    @pydantic.field_validator("bands", mode="before")
    @classmethod
    def _named_bands(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        sensor = str(info.data.get("sensor", ""))
        if not isinstance(value, list | tuple | None):
            raise ValueError("expected a list of band names")
        return [_card_band(entry, sensor) if isinstance(entry, str) else entry for entry in value or ()]

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> DatasetCard:
        names = [band.name for band in self.bands]
        if len(set(names)) < len(names):
            raise ValueError(f"band names must be distinct, got {', '.join(names)}")
        if self.separate_files and not (self.item and all(band.file for band in self.bands)):
            raise ValueError(
                "an image pattern with {band} needs 'file' for every band, what stands for it in file names, and "
                "'item', the name of what the files make up: such as 'bands: [{name: blue, file: B02}, ...]' and "
                "'item: \"{name}\"'"
            )
        if bool(self.files) != ("{file" in self.images) or (self.files and not (self.item and self.bands)):
            raise ValueError("'files' and {file} in the image pattern go together, and need 'item' and 'bands'")
        if self.arrays is not None and (self.series or not self.bands or self.files or self.separate_files):
            raise ValueError("'arrays' needs 'bands', and neither 'series', 'files' nor {band}: each file is a series")
        if self.scale is not None and self.radiometry != "auto":
            raise ValueError(f"give either scale and offset or radiometry, got both ({self.radiometry!r})")
        parse_radiometry(self.radiometry_text)
        for pattern in (self.image_pattern, *self.label_patterns, PathPattern(self.listed)):
            _ = pattern.regex
        return self

    @pydantic.model_validator(mode="after")
    def _known_classes(self) -> DatasetCard:
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise ValueError(f"classes need different names, got {', '.join(twice)} more than once")
        known = {*range(len(self.classes)), IGNORE}
        if not {*self.label_map.values()} <= known:
            raise ValueError(f"label_map {self._must_name_classes}, or 255 to ignore, got {self.label_map}")
        if self.others is not None and self.others not in known:
            raise ValueError(f"others {self._must_name_classes}, or 255 to ignore, got {self.others}")
        if not set(self.foreground) <= known - {IGNORE}:
            raise ValueError(
                f"foreground {self._must_name_classes}, got {list(self.foreground)}; state the classes that count as "
                "positive, such as 'foreground: [1]', or none: 'foreground: []'"
            )
        if self.label_kind == "constant" and self.constant_label not in known:
            raise ValueError(f"label_kind constant needs constant_label among the classes, got {self.constant_label}")
        return self

    @property
    def _must_name_classes(self) -> str:
        """For messages: users may meet a field that they have not written."""
        return f"(where not stated, that of the card it starts from) must name classes 0..{len(self.classes) - 1}"

    @pydantic.model_validator(mode="after")
    def _usable_label_rules(self) -> DatasetCard:
        if self.label_band is not None and self.label_band < 1:
            raise ValueError(f"label_band counts the channels of label files from 1, got {self.label_band}")
        if not 0 <= self.least_share <= 1:
            raise ValueError(f"least_share must lie in [0, 1], got {self.least_share:g}")
        if self.listed and not self.item:
            raise ValueError("'listed' needs 'item', the name that it fills")
        words = [raw for raw in self.label_map if isinstance(raw, str)]
        if words and self.label_kind == "mask":
            raise ValueError(
                f"label_map maps the text {words[0]!r}, but masks hold numbers; state them without quotation marks, "
                "such as 'label_map: {0: 0, 3: 255}'"
            )
        return self

    @property
    def reading(self) -> dict[str, Any]:
        """All that decides what its files mean, without what is said about them in words."""
        return self.model_dump(mode="json", exclude=IN_WORDS)

    @property
    def separate_files(self) -> bool:
        """Whether each band has its own file."""
        return "{band}" in self.images

    @property
    def radiometry_text(self) -> str:
        """The radiometry statement, with ``scale`` and ``offset`` written out."""
        return self.radiometry if self.scale is None else f"scale:{self.scale!r}:{self.offset!r}"

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the reflective bands in card order."""
        return tuple(band.name for band in self.bands if band.reflective)

    @property
    def gsd_m(self) -> float | None:
        """Pixel size in metres of the finest band; None where no band states one, itself or by its sensor."""
        return min((band.gsd_m for band in self.bands if "gsd_m" in band.model_fields_set), default=None)

    @property
    def image_pattern(self) -> PathPattern:
        """The compiled image pattern."""
        return PathPattern(anywhere(self.images), tuple(band.file for band in self.bands if band.file))

    @property
    def label_patterns(self) -> tuple[PathPattern, ...]:
        """The compiled label patterns."""
        return tuple(PathPattern(anywhere(text)) for text in self.labels)


def _card_band(text: str, sensor: str) -> dict[str, Any]:
    numbered = TABLES[told_sensor("", sensor) or "sentinel-2"].get(text.strip().upper())
    band = known_band(numbered or common_name(text) or text.strip().lower(), sensor=sensor)
    return {"name": band.name, "wavelength_nm": band.wavelength_nm} | ({"gsd_m": band.gsd_m} if sensor else {})
