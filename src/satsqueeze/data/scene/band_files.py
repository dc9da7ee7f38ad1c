"""Raster files that lie side by side: which of them are the bands of one scene, by what their names say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from satsqueeze.core.errors import BandError, RasterError
from satsqueeze.data.scene.band_naming import NOT_REFLECTIVE, TABLES, band_token, common_name, sensor_in
from satsqueeze.data.scene.product_date import acquired_in
from satsqueeze.data.scene.raster_file import opened
from satsqueeze.data.scene.source import SceneSource

_PRODUCT_LENGTH = 12
"""Letters from which what the names of bands share is that of a product."""
_NUMBERED = "number "
"""Begins what stands for the band of a file that only tells its number, of a sensor that nothing names."""
_PART = re.compile(
    r"[_.\- ](?:(?:S[RT]_|B)?QA|S[RT]_|[SV][AZ]A\b|SCL|TCI|AOT|WVP|PVI|MSK|CLD|SNW|"
    r"thumb|preview|quicklook|browse|angle)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _BandFile:
    path: Path
    band: str
    """That its name means, with :data:`_NUMBERED` before a bare number; empty where it means none."""


def raster_scenes(paths: Sequence[Path]) -> list[SceneSource]:
    """Files of one band each, grouped by what else their names say; every other file is a scene of its own."""
    groups: dict[tuple[Path, str], list[_BandFile]] = {}
    for path in paths:
        band, rest = _band_in_name(path)
        key = (path.parent, rest if band else f"{path.name}/")
        groups.setdefault(key, []).append(_BandFile(path, band or ""))
    for members in [members for members in groups.values() if len(members) > 1]:
        for member in [member for member in members if _holds_more_than_its_word(member.path)]:
            members.remove(member)
            groups[member.path.parent, f"{member.path.name}/"] = [member]
    groups = {key: members for key, members in groups.items() if members}
    products = [key for key, members in groups.items() if len(members) > 1 and len(key[1]) >= _PRODUCT_LENGTH]
    parts = {
        key
        for key, members in groups.items()
        for folder, product in products
        if len(members) == 1 and key[0] == folder and _is_part(key[1], product)
    }
    return [_of_group(rest, members) for (folder, rest), members in groups.items() if (folder, rest) not in parts]


def _holds_more_than_its_word(path: Path) -> bool:
    """Whether a raster that is named by a word or number for a band has others too: ``red_sea.tif``, ``flight_b1.tif``.

    Not where it cannot be opened: whoever reads it will say so. Files of known products hold what their names say.
    """
    if band_token(path.stem) and sensor_in(path.as_posix()):
        return False
    try:
        with opened(str(path)) as dataset:
            return int(dataset.count) > 1
    except RasterError:
        return False


def _is_part(name: str, product: str) -> bool:
    """Whether a file's name is that of a product's quality bits, angles or pictures, which are no scenes."""
    return name.startswith(product) and _PART.match(name[len(product) :]) is not None


def _of_group(rest: str, members: list[_BandFile]) -> SceneSource:
    first = members[0].path
    if len(members) == 1:
        return SceneSource(id=first.stem, path=first, files=(str(first),), acquired=acquired_in(first.name))
    if any(member.band.startswith(_NUMBERED) for member in members):
        # Nothing tells whose numbers they are: the reader decides, by all of them and by what the user states.
        files = tuple(str(member.path) for member in members)
        return SceneSource(
            id=rest or first.parent.name or "scene", path=first.parent, files=files, acquired=acquired_in(first.name)
        )
    usable = [member for member in members if member.band not in NOT_REFLECTIVE]
    bands = tuple(member.band for member in usable)
    repeated = sorted({band for band in bands if bands.count(band) > 1})
    problem = None
    if repeated:
        named = ", ".join(repeated) or "one name"
        problem = BandError(f"{first.parent} holds several files of {named} of one scene; keep one")
    return SceneSource(
        id=rest or first.parent.name or "scene",
        path=first.parent,
        files=tuple(str(member.path) for member in usable),
        file_bands=bands,
        acquired=acquired_in(first.name),
        problem=problem,
    )


def _band_in_name(path: Path) -> tuple[str | None, str]:
    """The band that a file name means, and the name without it."""
    stem = path.stem
    token = band_token(stem)
    if token:
        sensor = sensor_in(path.as_posix())
        name = TABLES[sensor].get(token) if sensor else f"{_NUMBERED}{token}"
        if name:
            return name, re.sub(
                rf"[_.\-]*(?:S[RT]_)?B0?{token[1:].lstrip('0')}(?:_VCID_\d)?(?![0-9A-Za-z])",
                "",
                stem,
                flags=re.IGNORECASE,
            )
    name = common_name(stem)
    words = re.split(r"[_.\-\s]+", stem)
    alone = [word for word in words if common_name(word) != name]
    return (name, "_".join(alone)) if name and len(alone) < len(words) else (None, stem)
