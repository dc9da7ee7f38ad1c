"""STAC items with local assets, as scenes: bands by common name, scale and offset from the item."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from satsqueeze.core.errors import BandError, RadiometryError, RasterError
from satsqueeze.data.band_naming import NOT_REFLECTIVE, common_name

_LARGEST_BYTES = 64 * 2**20
_APPLIED = ("earthsearch:boa_offset_applied", "s2:boa_offset_applied")
_OURS = "satsqueeze:"
_OTHER_ROLES = frozenset({"thumbnail", "overview", "metadata", "visual"})


@dataclass(frozen=True, kw_only=True)
class StacScene:
    """What an item says about a scene."""

    id: str
    files: tuple[str, ...]
    bands: tuple[str, ...]
    """The band of each file; empty where one file holds them all."""
    radiometry: str
    nodata: float | None
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
        RadiometryError: the assets state different scales.
    """
    record = _record(path)
    assets = record.get("assets")
    if record.get("type") != "Feature" or not isinstance(assets, Mapping):
        raise RasterError(f"{path} is not a STAC item (a JSON object of type Feature with assets); check the path")
    wanted = [(name, asset) for name, asset in assets.items() if isinstance(asset, Mapping) and _is_data(asset)]
    found = [(band, asset) for name, asset in wanted for band in [_band_of(name, asset)] if band]
    whole = [asset for _, asset in wanted if len(_bands(asset)) > 1]
    if not found and not whole:
        raise BandError(
            f"{path}: no asset names a band; expected a common name such as 'red' in bands, eo:bands or the asset's key"
        )
    chosen = [("", whole[0])] if not found else _one_each([b for b in found if b[0] not in NOT_REFLECTIVE])
    raw = record.get("properties")
    properties = raw if isinstance(raw, Mapping) else {}
    return StacScene(
        id=str(record.get("id") or path.stem),
        files=tuple(_local(path, asset) for _, asset in chosen),
        bands=tuple(band for band, _ in chosen if band),
        radiometry=_radiometry(path, properties, [asset for _, asset in chosen]),
        nodata=_nodata([asset for _, asset in chosen]),
        acquired=_datetime(properties.get("datetime")),
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


def _band_of(name: str, asset: Mapping[str, Any]) -> str | None:
    bands = _bands(asset)
    if len(bands) > 1:
        return None
    stated = [bands[0].get(key) for key in ("eo:common_name", "common_name")] if bands else []
    words = [str(word) for word in stated if word]
    return next((found for word in words if (found := common_name(word))), None) or (
        common_name(name) if not words else None
    )


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


def _radiometry(item: Path, properties: Mapping[str, Any], assets: Sequence[Mapping[str, Any]]) -> str:
    stated = {_scale_of(asset) for asset in assets}
    if len(stated) > 1:
        raise RadiometryError(
            f"{item}: the assets state different scales and offsets, or some state none: {sorted(map(str, stated))}; "
            "state --radiometry"
        )
    (one,) = stated
    if one is None:
        return "auto"
    scale, offset = one
    # The numbers of such items are shifted already; the offset stays in the metadata all the same.
    if any(properties.get(key) is True for key in _APPLIED):
        offset = 0.0
    return f"item:{scale!r}:{offset!r}"


def _nodata(assets: Sequence[Mapping[str, Any]]) -> float | None:
    found = (record.get("nodata") for asset in assets for record in _records(asset))
    return next((number for value in found if (number := _number(value)) is not None), None)


def _records(asset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The asset and its first band, as older and newer items describe it."""
    older = asset.get("raster:bands")
    first = older[0] if isinstance(older, list) and older else None
    return [record for record in (asset, first, *_bands(asset)[:1]) if isinstance(record, Mapping)]


def _scale_of(asset: Mapping[str, Any]) -> tuple[float, float] | None:
    for record in _records(asset):
        for prefix in ("raster:", ""):
            scale = _number(record.get(f"{prefix}scale"))
            if scale is not None:
                return scale, _number(record.get(f"{prefix}offset")) or 0.0
    return None


def _number(value: Any) -> float | None:
    """A JSON number as float, infinite where it is too large for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _datetime(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
