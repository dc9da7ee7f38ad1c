"""Bands travel by name, never by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from satsqueeze.core.errors import BandError


@dataclass(frozen=True, kw_only=True)
class Band:
    """One spectral band."""

    name: str
    """STAC common name, such as ``blue`` or ``swir16``; lower case."""
    wavelength_nm: float
    """Centre wavelength in nanometres; 0 where it has no meaning."""
    gsd_m: float
    """Native ground sample distance in metres."""

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip().lower():
            raise BandError(f"band name must be lower case and not empty, got {self.name!r}")
        if self.wavelength_nm < 0 or self.gsd_m <= 0:
            raise BandError(
                f"band '{self.name}': wavelength must be >= 0 nm and ground sample distance > 0 m, "
                f"got {self.wavelength_nm} nm and {self.gsd_m} m"
            )


@dataclass(frozen=True)
class Bands:
    """An ordered set of bands with distinct names."""

    items: tuple[Band, ...]

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise BandError("at least one band is needed, got none")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise BandError(f"band names must be distinct, got {', '.join(repeated)} more than once")

    @property
    def names(self) -> tuple[str, ...]:
        """Band names in channel order."""
        return tuple(band.name for band in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Band]:
        return iter(self.items)

    def positions(self, names: Sequence[str]) -> list[int]:
        """Channel positions of ``names``, in their order.

        Raises:
            BandError: a name is not among these bands.
        """
        return band_positions(self.names, names)

    def select(self, names: Sequence[str]) -> Bands:
        """The bands called ``names``, in that order."""
        return Bands(tuple(self.items[i] for i in self.positions(names)))


def band_positions(have: Sequence[str], want: Sequence[str]) -> list[int]:
    """Positions in ``have`` of each name in ``want``.

    Raises:
        BandError: a wanted name is absent, or ``have`` repeats one.
    """
    missing = [name for name in want if name not in have]
    if missing:
        raise BandError(
            f"band(s) {', '.join(missing)} are needed but the image has {', '.join(map(str, have)) or 'none'}. "
            "Name the image's bands by their common names (blue, green, red, nir, ...)."
        )
    repeated = [name for name in want if list(have).count(name) > 1]
    if repeated:
        raise BandError(f"band(s) {', '.join(repeated)} occur more than once in the image: {', '.join(have)}")
    return [list(have).index(name) for name in want]


def _bands(*rows: tuple[str, float, float]) -> dict[str, Band]:
    return {name: Band(name=name, wavelength_nm=nm, gsd_m=gsd) for name, nm, gsd in rows}


# Centre wavelengths: Sentinel-2A MSI (ESA Sentinel-2 User Handbook); Landsat 8 OLI/TIRS (USGS Data Users Handbook).
SENTINEL2 = MappingProxyType(
    _bands(
        ("coastal", 443.0, 60.0),
        ("blue", 492.4, 10.0),
        ("green", 559.8, 10.0),
        ("red", 664.6, 10.0),
        ("rededge071", 704.1, 20.0),
        ("rededge075", 740.5, 20.0),
        ("rededge078", 782.8, 20.0),
        ("nir", 832.8, 10.0),
        ("nir08", 864.7, 20.0),
        ("nir09", 945.1, 60.0),
        ("cirrus", 1373.5, 60.0),
        ("swir16", 1613.7, 20.0),
        ("swir22", 2202.4, 20.0),
    )
)
SENTINEL2_FILE_NAMES = MappingProxyType(
    dict(
        zip(
            ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"),
            SENTINEL2,
            strict=True,
        )
    )
)
LANDSAT8 = MappingProxyType(
    _bands(
        ("coastal", 443.0, 30.0),
        ("blue", 482.0, 30.0),
        ("green", 561.4, 30.0),
        ("red", 654.6, 30.0),
        ("nir", 864.7, 30.0),
        ("swir16", 1608.9, 30.0),
        ("swir22", 2200.7, 30.0),
        ("pan", 589.5, 15.0),
        ("cirrus", 1373.4, 30.0),
        ("lwir11", 10895.0, 100.0),
        ("lwir12", 12005.0, 100.0),
    )
)
LANDSAT8_FILE_NAMES = MappingProxyType(
    dict(
        zip(
            ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11"),
            LANDSAT8,
            strict=True,
        )
    )
)
SENSORS = MappingProxyType({"sentinel-2": SENTINEL2, "landsat-8": LANDSAT8})


def wavelength_of(name: str) -> float | None:
    """Centre wavelength in nanometres of a band by its common name, None where no sensor here has it.

    Where sensors differ, by at most 32 nm (``nir``), Sentinel-2's counts.
    """
    for table in SENSORS.values():
        if name in table:
            return table[name].wavelength_nm
    return None
