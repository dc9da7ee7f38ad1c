"""STAC items with local assets, as scenes: bands by common name, scale and offset from the item."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from satsqueeze.core.errors import BandError, RasterError
from satsqueeze.data.scene.band_naming import NOT_REFLECTIVE, common_name, sensor_in

_LARGEST_BYTES = 64 * 2**20
_APPLIED = ("earthsearch:boa_offset_applied", "s2:boa_offset_applied")
_OURS = "satsqueeze:"
_OTHER_ROLES = frozenset({"thumbnail", "overview", "metadata", "visual"})


@dataclass(frozen=True, kw_only=True)
class StatedNumbers:
    """What metadata says of the numbers of a band."""

    radiometry: str = "auto"
    """As :func:`satsqueeze.data.scene.radiometric_statement.parse_radiometry` reads it."""
    nodata: float | None = None


@dataclass(frozen=True, kw_only=True)
class StacScene:
    """What an item says about a scene."""

    id: str
    files: tuple[str, ...]
    bands: tuple[str, ...]
    """The band of each file; empty where one file holds them all."""
    channels: tuple[str, ...]
    """Names of the channels of such a file; empty where the item does not name them all."""
    stated: tuple[StatedNumbers, ...]
    """Of each file, or of each band where one file holds them all."""
    acquired: datetime | None


def is_item(path: Path) -> bool:
    """Whether a JSON file is a STAC item that derives from nothing of ours."""
    try:
        record = _record(path)
    except RasterError:
        return False
    properties = record.get("properties")
    ours = isinstance(properties, Mapping) and any(str(key).startswith(_OURS) for key in properties)
    return record.get("type") == "Feature" and "assets" in record and not ours


def read_item(path: Path) -> StacScene:
    """Read an item.

    Raises:
        RasterError: not a STAC item, or its assets are not on this disk.
        BandError: no asset names a band.
    """
    record = _record(path)
    assets = record.get("assets")
    if record.get("type") != "Feature" or not isinstance(assets, Mapping):
        raise RasterError(f"{path} is not a STAC item (a JSON object of type Feature with assets); check the path")
    name = str(record.get("id") or path.stem)
    raw = record.get("properties")
    properties = raw if isinstance(raw, Mapping) else {}
    landsat = _is_of_landsat(name, properties)
    wanted = [(key, asset) for key, asset in assets.items() if isinstance(asset, Mapping) and _is_data(asset)]
    found = [(band, asset) for key, asset in wanted for band in [_band_of(key, asset, landsat=landsat)] if band]
    whole = [asset for _, asset in wanted if len(_bands(asset)) > 1]
    if not found and not whole:
        raise BandError(
            f"{path}: no asset names a band; expected a common name such as 'red' in bands, eo:bands or the asset's key"
        )
    if found:
        at_hand = [(band, _at_hand(path, name, asset)) for band, asset in found if band not in NOT_REFLECTIVE]
        chosen = _one_each(at_hand)
    else:
        chosen = [("", _at_hand(path, name, whole[0]))]
    channels = () if found else _channels(whole[0], landsat=landsat)
    stated = [_stated(properties, asset) for _, asset in chosen]
    return StacScene(
        id=name,
        files=tuple(_local(path, asset) for _, asset in chosen),
        bands=tuple(band for band, _ in chosen if band),
        channels=channels,
        stated=tuple(numbers[0] for numbers in stated) if found else stated[0],
        # What was measured over a time has no datetime, by the specification, but a start and an end.
        acquired=_datetime(properties.get("datetime") or properties.get("start_datetime")),
    )


def _one_each(found: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """One asset for each band: the first that is on this disk, or else the first."""
    chosen: dict[str, Mapping[str, Any]] = {}
    for band, asset in found:
        if band not in chosen or (_is_remote(chosen[band]) and not _is_remote(asset)):
            chosen[band] = asset
    here = [(band, asset) for band, asset in chosen.items() if not _is_remote(asset)]
    # What is elsewhere may not be needed: the reader names the bands that it lacks.
    return here or list(chosen.items())


def _is_remote(asset: Mapping[str, Any]) -> bool:
    return re.match(r"(?!file:)[a-z][a-z0-9+.-]+:", str(asset.get("href") or ""), re.IGNORECASE) is not None


def _record(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would never end
            raise RasterError(f"{path} is no file; expected a STAC item")
        if path.stat().st_size > _LARGEST_BYTES:
            raise RasterError(f"{path} has {path.stat().st_size} bytes, more than any STAC item; check the path")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RasterError(f"{path} is not readable JSON ({error}); fetch the item again") from error
    if not isinstance(record, dict):
        raise RasterError(f"{path} holds no JSON object; expected a STAC item")
    return record


def _is_data(asset: Mapping[str, Any]) -> bool:
    stated = asset.get("roles")
    roles = stated if isinstance(stated, list) else []
    kind = str(asset.get("type") or "")
    return not _OTHER_ROLES & {str(role) for role in roles} and ("tiff" in kind or "jp2" in kind or not kind)


def _bands(asset: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = asset.get("bands") or asset.get("eo:bands") or []
    return [band for band in found if isinstance(band, Mapping)] if isinstance(found, list) else []


def _is_of_landsat(name: str, properties: Mapping[str, Any]) -> bool:
    told = sensor_in(name) or sensor_in(str(properties.get("platform") or ""))
    return told is not None and told.startswith("landsat")


def _band_of(name: str, asset: Mapping[str, Any], *, landsat: bool) -> str | None:
    bands = _bands(asset)
    if len(bands) > 1:
        return None
    return _name_of(bands[0] if bands else {}, name, landsat=landsat)


def _channels(asset: Mapping[str, Any], *, landsat: bool) -> tuple[str, ...]:
    names = [_name_of(band, str(band.get("name") or ""), landsat=landsat) for band in _bands(asset)]
    return tuple(name for name in names if name) if all(names) else ()


def _name_of(band: Mapping[str, Any], otherwise: str, *, landsat: bool) -> str | None:
    """The common name of a band; where none is stated, what another name of it means."""
    words = [str(word) for key in ("eo:common_name", "common_name") if (word := band.get(key))]
    found = next((found for word in words or [otherwise] if (found := common_name(word))), None)
    # The one near infrared that Landsat has: items call it so for its wavelength.
    return "nir" if landsat and found == "nir08" else found


def _local(item: Path, asset: Mapping[str, Any]) -> str:
    href = str(asset.get("href") or "")
    try:
        parsed = urlparse(href)
    except ValueError as error:
        raise RasterError(
            f"{item}: the asset {href!r} has no address that can be read ({error}); correct it"
        ) from error
    if parsed.scheme not in ("", "file") or not href:
        raise RasterError(
            f"{item}: the asset {href or '(without href)'} is not on this disk; fetch it, and name its file"
        )
    path = Path(unquote(parsed.path))
    return (path if path.is_absolute() else item.parent / path).as_posix()


def _at_hand(item: Path, name: str, asset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The asset, by its file beside the item where one was fetched that bears the item's name."""
    file = str(asset.get("href") or "").rsplit("/", 1)[-1]
    if _is_remote(asset) and file.startswith(name) and (item.parent / file).is_file():
        return {**asset, "href": file}
    return asset


def _stated(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> tuple[StatedNumbers, ...]:
    """What is said of each band of an asset, in its own words or as older items do; at least one."""
    raster = asset.get("raster:bands")
    older = [band if isinstance(band, Mapping) else {} for band in raster] if isinstance(raster, list) else []
    newer = _bands(asset)
    # The numbers of such items are shifted already; the offset stays in the metadata all the same.
    shifted = any(properties.get(key) is True for key in _APPLIED)
    found = []
    for index in range(max(1, len(older), len(newer))):
        records = [asset, *older[index : index + 1], *newer[index : index + 1]]
        nodata = (number for record in records if (number := _number(record.get("nodata"))) is not None)
        found.append(StatedNumbers(radiometry=_radiometry(records, shifted=shifted), nodata=next(nodata, None)))
    return tuple(found)


def _radiometry(records: Sequence[Mapping[str, Any]], *, shifted: bool) -> str:
    for record in records:
        for prefix in ("raster:", ""):
            scale = _number(record.get(f"{prefix}scale"))
            if scale is not None:
                offset = 0.0 if shifted else _number(record.get(f"{prefix}offset")) or 0.0
                return f"item:{scale!r}:{offset!r}"
    return "auto"


def _number(value: Any) -> float | None:
    """A JSON number as float, infinite where it is too large for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _datetime(text: Any) -> datetime | None:
    """In UTC, as items have it; what states no zone is taken for that."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
