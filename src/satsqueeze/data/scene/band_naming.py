"""What the many spellings of bands in files mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from types import MappingProxyType

from satsqueeze.core.bands import LANDSAT8, LANDSAT8_FILE_NAMES, SENTINEL2, SENTINEL2_FILE_NAMES, Band
from satsqueeze.core.errors import BandError

_WORDS = MappingProxyType(
    {
        "coastal": ("coastal", "coastalaerosol", "aerosol", "ultrablue"),
        "blue": ("blue", "blu"),
        "green": ("green", "grn"),
        "red": ("red",),
        "rededge071": ("rededge071", "rededge1", "rededge"),
        "rededge075": ("rededge075", "rededge2"),
        "rededge078": ("rededge078", "rededge3"),
        "nir": ("nir", "nir1", "nearinfrared", "infrared", "broadnir"),
        "nir08": ("nir08", "nir2", "narrownir", "nirnarrow", "rededge4"),
        "nir09": ("nir09", "watervapour", "watervapor"),
        "cirrus": ("cirrus",),
        "swir16": ("swir16", "swir1", "shortwaveinfrared1", "midinfrared1", "middleinfrared1"),
        "swir22": ("swir22", "swir2", "shortwaveinfrared2", "midinfrared2", "middleinfrared2"),
        "pan": ("pan", "panchromatic"),
        "lwir11": ("lwir11", "tir1", "thermal", "lwir"),
        "lwir12": ("lwir12", "tir2"),
    }
)
_FURTHER = frozenset({"short", "shortwave", "mid", "middle", "thermal", "long", "longwave", "far", "swir", "mir"})
"""Words that make infrared another than the near one."""
_BY_WORD = {word: name for name, words in _WORDS.items() for word in words}
_SENTINEL2 = dict(SENTINEL2_FILE_NAMES)
_SENTINEL2 |= {f"B{int(key[1:])}": value for key, value in SENTINEL2_FILE_NAMES.items() if key[1:].isdigit()}
_LANDSAT8 = {**LANDSAT8_FILE_NAMES, **{f"B{int(key[1:]):02d}": name for key, name in LANDSAT8_FILE_NAMES.items()}}
_THEMATIC_MAPPER = dict(
    zip(
        ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"),
        ("blue", "green", "red", "nir", "swir16", "lwir11", "swir22", "pan"),
        strict=True,
    )
)
NOT_REFLECTIVE = frozenset({"pan", "lwir11", "lwir12"})
"""Left out unless asked for: another grid, or kelvin."""
TABLES = MappingProxyType({"sentinel-2": _SENTINEL2, "landsat-8": _LANDSAT8, "landsat-tm": _THEMATIC_MAPPER})
"""File-name token -> common name, by sensor; ``landsat-tm`` stands for Landsat 4, 5 and 7."""
CARD_SENSORS = ("sentinel-2", "landsat-4", "landsat-5", "landsat-7", "landsat-8", "landsat-9", "landsat-tm")
"""What a card may call its sensor."""
_SENSOR_NAMES = (
    (
        re.compile(r"S2[ABC]_|MSIL[12]|sentinel[-_]?2|(?<![A-Z0-9])T\d{2}[A-Z]{3}_\d{8}T\d{6}", re.IGNORECASE),
        "sentinel-2",
    ),
    (re.compile(r"(?<![A-Z0-9])L[COT](?:0[89]_|[89]\d)|landsat[-_]?[89](?!\d)|HLS\.L30", re.IGNORECASE), "landsat-8"),
    (re.compile(r"(?<![A-Z0-9])L[ETM](?:0[457]_|[457]\d)|landsat[-_]?[457](?!\d)", re.IGNORECASE), "landsat-tm"),
)
_TOKEN = re.compile(r"(?<![A-Za-z0-9])B(8A|\d{1,2})(?![A-Za-z0-9])", re.IGNORECASE)


def sensor_in(path: str) -> str | None:
    """The sensor that a path names, its last parts first, or None."""
    for part in reversed(path.split("/")):
        for expression, sensor in _SENSOR_NAMES:
            if expression.search(part):
                return sensor
    return None


def common_name(text: str) -> str | None:
    """The common name that words such as ``Blue``, ``SWIR 1`` or ``red edge 1 (705 nm)`` mean; None for others."""
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            part = words[start : start + length]
            # "Short wave infrared" is no near infrared, though its last word alone would be.
            if part == ["infrared"] and not _FURTHER.isdisjoint(words):
                continue
            found = _BY_WORD.get("".join(part))
            if found:
                return found
    return None


def band_token(text: str) -> str | None:
    """The last band token such as ``B02``, ``B2`` or ``B8A`` in a file name or description, or None."""
    found = _TOKEN.findall(text.replace("_", " "))
    return f"B{found[-1].upper()}" if found else None


def told_sensor(path: str, sensor: str = "") -> str | None:
    """The sensor whose numbers of bands are meant, as a card states it or a path names it; None where neither does."""
    return sensor if sensor in TABLES else sensor_in(sensor) or sensor_in(path)


def possible_names(labels: Sequence[str], *, path: str, sensor: str = "") -> tuple[tuple[str, ...], ...]:
    """What the channels may be: by the sensor that is told or, where none is, by each whose numbers these could be.

    Args:
        labels: one description or file name per channel.
        path: any path of the image.
        sensor: as the card states it.

    Returns:
        Common names of all channels, once for each reading; empty where there is none.
    """
    told = told_sensor(path, sensor)
    found: dict[tuple[str, ...], None] = {}
    for candidate in [told] if told else TABLES:
        with suppress(BandError):
            found[name_channels(labels, path=path, sensor=candidate)] = None
    return tuple(found)


def name_channels(labels: Sequence[str], *, path: str, gsd_m: float | None = None, sensor: str = "") -> tuple[str, ...]:
    """Common names of channels.

    Args:
        labels: one description or file name per channel.
        path: any path of the image: product names in it tell the sensor, where no card does.
        gsd_m: pixel size in metres where known; 10 and 20 m mean Sentinel-2.
        sensor: as the card states it.

    Raises:
        BandError: a channel has no readable name, or band numbers of an unknown sensor.
    """
    tokens = [band_token(label) for label in labels]
    known = [token for token in tokens if token]
    table = TABLES.get(told_sensor(path, sensor) or _likely_sensor(known, gsd_m) or "", {}) if known else {}
    names = [table.get(token) if token else common_name(label) for token, label in zip(tokens, labels, strict=True)]
    names = [name or common_name(label) for name, label in zip(names, labels, strict=True)]
    unnamed = [label or "(no description)" for label, name in zip(labels, names, strict=True) if name is None]
    if unnamed:
        hint = " The band numbers could be Sentinel-2's or Landsat's." if known and not table else ""
        raise BandError(
            f"{path}: cannot tell the bands of {len(unnamed)} of {len(labels)} channels ({', '.join(unnamed[:13])}); "
            f"expected names such as blue, green, red, nir.{hint} {REMEDY}"
        )
    named = tuple(name for name in names if name)
    if len(set(named)) < len(named):
        raise BandError(f"{path}: several channels have the same band name: {', '.join(named)}. {REMEDY}")
    return named


REMEDY = (
    "State them in channel order: --bands where the command has it, or 'bands: [blue, green, red, nir]' in "
    "dataset.yaml for a data set; or write them into the file as band descriptions."
)


def known_band(name: str, *, gsd_m: float | None = None, sensor: str | None = None) -> Band:
    """A band with its usual wavelength; 0 nm for names that no known sensor has."""
    tables = (LANDSAT8, SENTINEL2) if sensor and sensor.startswith("landsat") else (SENTINEL2, LANDSAT8)
    known = next((table[name] for table in tables if name in table), None)
    if known is None:
        return Band(name=name, wavelength_nm=0.0, gsd_m=gsd_m or 10.0)
    return Band(name=name, wavelength_nm=known.wavelength_nm, gsd_m=gsd_m or known.gsd_m)


def _likely_sensor(tokens: Sequence[str], gsd_m: float | None) -> str | None:
    have = set(tokens)
    if "B8A" in have or "B12" in have or all(len(token) == 3 for token in tokens):
        return "sentinel-2"
    if gsd_m is not None and any(abs(gsd_m - size) < 0.01 for size in (10, 20)):
        return "sentinel-2"
    if "B8" in have and "B5" not in have:
        return "sentinel-2"
    return None
