"""Channels of the files of one image: which bands they hold, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from satsqueeze.core.bands import Band, band_positions, wavelength_of
from satsqueeze.core.errors import BandError
from satsqueeze.core.radiometry import Radiometry
from satsqueeze.data.scene.band_naming import NOT_REFLECTIVE, REMEDY, name_channels, possible_names, told_sensor
from satsqueeze.data.scene.evidence import radiometry_of
from satsqueeze.data.scene.radiometric_statement import Statement, parse_radiometry
from satsqueeze.data.scene.raster_file import alpha_channels, georeference_of, pixel_size_m

_SAME_NM = 40.0
"""Sensors differ by up to 32 nm in what they call by one name."""


@dataclass(frozen=True, kw_only=True)
class ReadRule:
    """How to interpret files; from a card or from the command line."""

    orders: tuple[tuple[str, ...], ...] = ()
    """Channel orders of a multi-band file, told apart by length; empty: the files name their channels."""
    bands: tuple[Band, ...] = ()
    """What is known about bands by name."""
    sensor: str = ""
    """Whose numbers of bands are meant; empty where nothing but the files tells."""
    radiometry: str = "auto"
    assumed: str = ""
    nodata: tuple[float, ...] = ()
    """Numbers of missing pixels, beside those that files tag and products have."""
    saturated: float | None = None
    resample: bool = False
    """Whether coarser files may be resampled without a georeference that proves the match."""
    thermal: frozenset[str] = frozenset()
    """Bands in kelvin, never converted."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One band of an image and where it lies."""

    name: str
    """Of the band."""
    file: int
    """Position of its file."""
    index: int
    """Position in its file, from 0."""
    radiometry: Radiometry
    nodata: tuple[float, ...] = ()
    """Numbers that stand for nothing, beside that of its radiometry and the tag of its file."""


@dataclass(frozen=True, kw_only=True)
class ChannelFiles:
    """Open files of one image, and how to interpret them."""

    paths: tuple[str, ...]
    datasets: Sequence[Any]
    """Open rasterio datasets, one per path."""
    rule: ReadRule
    bands: tuple[str, ...] = ()
    """The band of each file, where each has one and it is known."""

    def choose(self, want: Sequence[str] | None) -> list[Channel]:
        """Channels of the wanted bands, in this order; by default of all reflective ones.

        Raises:
            BandError: channels without usable names, or wanted bands that are absent.
            RadiometryError: reflectance cannot be derived.
        """
        named = self._named()
        names = [name for name, _, _ in named]
        if want is None:
            want = [name for name in names if name not in self.rule.thermal | NOT_REFLECTIVE]
        if not want:
            raise BandError(f"{self.paths[0]} has no reflective band, only {', '.join(names)}; ask for bands by name")
        statement = parse_radiometry(self.rule.radiometry)
        return [self._channel(*named[position], statement) for position in _positions(names, want, self.paths[0])]

    def _named(self) -> list[tuple[str, int, int]]:
        found = [_indexes(dataset) for dataset in self.datasets]
        slots = [(file, index) for file, indexes in enumerate(found) for index in indexes]
        if self.bands:
            wrong = [path for path, indexes in zip(self.paths, found, strict=True) if len(indexes) != 1]
            if wrong:
                raise BandError(f"{wrong[0]} has several channels; the card expects one band per file")
            names: Sequence[str] = self.bands
        else:
            names = self._channel_names(len(slots))
        return [(name, file, index) for name, (file, index) in zip(names, slots, strict=True)]

    def _channel_names(self, count: int) -> Sequence[str]:
        if self.rule.orders:
            return self._ordered(count)
        return self._named_by_files()

    def _named_by_files(self) -> tuple[str, ...]:
        """Names from descriptions, or from the names of files of one channel."""
        gsd_m = pixel_size_m(georeference_of(self.datasets[0]))
        return name_channels(self._labels, path=self.paths[0], gsd_m=gsd_m, sensor=self.rule.sensor)

    @property
    def _labels(self) -> list[str]:
        return [
            text or (Path(path).stem if dataset.count == 1 else "")
            for path, dataset in zip(self.paths, self.datasets, strict=True)
            for text in _descriptions(dataset)
        ]

    def _ordered(self, count: int) -> Sequence[str]:
        if any("alpha" in order for order in self.rule.orders):
            raise BandError(
                f"{self.paths[0]}: 'alpha' was stated as a band, but it says where pixels are missing; state the "
                "others only, and call its channel 'alpha' in the file's band descriptions"
            )
        stated = next((order for order in self.rule.orders if len(order) == count), None)
        try:
            named = () if self._numbered() else self._named_by_files()
        except BandError:
            named = ()
        # Files that name the same bands in another order are right: a shell sorts names, and nobody sees it.
        if named and (stated is None or set(named) == set(stated)):
            return named
        if stated is None:
            expected = " or ".join(f"{len(order)} ({', '.join(order)})" for order in self.rule.orders)
            raise BandError(f"{self.paths[0]} has {count} channels; expected {expected}. {REMEDY}")
        if named and not self._may_be(stated):
            raise BandError(
                f"{self.paths[0]} names its channels {', '.join(named)}, but {', '.join(stated)} were stated; correct "
                "the statement (--bands, or 'bands' in dataset.yaml), or the descriptions in the file"
            )
        return stated

    def _may_be(self, stated: Sequence[str]) -> bool:
        """Whether the files' own names may mean what is stated: numbers mean other bands to every sensor."""
        readings = possible_names(self._labels, path=self.paths[0], sensor=self.rule.sensor)
        return any(_alike(named, stated) for named in readings)

    def _numbered(self) -> bool:
        """Whether the files do no more than count their channels: B1, B2 and so on, or B01 where no sensor is told."""
        labels = [text for dataset in self.datasets for text in _descriptions(dataset)]
        numbers = range(1, len(labels) + 1)
        if labels == [f"B{number}" for number in numbers]:
            return True
        told = told_sensor(self.paths[0], self.rule.sensor)
        return told is None and labels == [f"B{number:02d}" for number in numbers]

    def _channel(self, name: str, file: int, index: int, statement: Statement) -> Channel:
        if name in self.rule.thermal:
            radiometry = Radiometry(scale=1.0, provenance="kelvin")
        else:
            radiometry = radiometry_of(self.paths[file], self.datasets[file], index, statement)
        if self.rule.saturated is not None:
            radiometry = replace(radiometry, saturated=self.rule.saturated)
        return Channel(name=name, file=file, index=index, radiometry=radiometry, nodata=self.rule.nodata)


def _alike(named: Sequence[str], stated: Sequence[str]) -> bool:
    """Whether bands in two spellings may be the same, each at its place: ``nir08`` is a ``nir``, but no ``swir16``."""
    return all(one == other or _near(one, other) for one, other in zip(named, stated, strict=True))


def _near(one: str, other: str) -> bool:
    """Unknown names could be anything."""
    first, second = wavelength_of(one), wavelength_of(other)
    return first is None or second is None or abs(first - second) <= _SAME_NM


def _indexes(dataset: Any) -> list[int]:
    """Positions of the channels that are bands."""
    return sorted(set(range(dataset.count)) - alpha_channels(dataset))


def _descriptions(dataset: Any) -> list[str | None]:
    return [dataset.descriptions[index] for index in _indexes(dataset)]


def _positions(names: Sequence[str], want: Sequence[str], path: str) -> list[int]:
    try:
        return band_positions(names, want)
    except BandError as error:
        raise BandError(f"{path}: {error}") from error
