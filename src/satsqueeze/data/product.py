"""Scenes as people keep them: files, folders of products, STAC items, folders of all of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from satsqueeze.core.errors import BandError, DataError, RadiometryError, RasterError
from satsqueeze.data.band_naming import NOT_REFLECTIVE, TABLES, band_token, common_name, sensor_in
from satsqueeze.data.product_date import acquired_in
from satsqueeze.data.raster_file import opened
from satsqueeze.data.stac_item import StatedNumbers, is_item, read_item

RASTERS = frozenset({".tif", ".tiff", ".jp2", ".vrt", ".img", ".png"})
_PRODUCT_LENGTH = 12
_NUMBERED = "number "
"""Begins what stands for the band of a file that only tells its number, of a sensor that nothing names."""
_METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
_PART = re.compile(
    r"[_.\- ](?:(?:S[RT]_|B)?QA|S[RT]_|[SV][AZ]A\b|SCL|TCI|AOT|WVP|PVI|MSK|CLD|SNW|"
    r"thumb|preview|quicklook|browse|angle)",
    re.IGNORECASE,
)
_SAFE_BAND = re.compile(r"_(B\d{2}|B8A)(?:_(\d+)m)?\.(?:jp2|tif)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SceneSource:
    """One scene by its files; nothing is opened yet."""

    id: str
    """Names the outputs; unique within a batch."""
    path: Path
    """What it derives from: a file, a product folder, a STAC item."""
    files: tuple[str, ...] = ()
    file_bands: tuple[str, ...] = ()
    """The band of each file where each has one; empty where the files say."""
    stated: tuple[StatedNumbers, ...] = ()
    """Of each file, or of each band where one file holds them all; empty where no metadata says anything."""
    acquired: datetime | None = None
    problem: DataError | None = None
    """Why it cannot be opened, where that is known already."""

    def radiometry(self, wanted: Sequence[str]) -> str:
        """How the product's metadata says that its numbers become reflectance; ``auto`` where it does not.

        Args:
            wanted: the bands that count.

        Raises:
            RadiometryError: not alike for all of them.
        """
        ways = dict.fromkeys(numbers.radiometry for numbers in self._of(wanted)) or {"auto": None}
        if len(ways) > 1:
            raise RadiometryError(
                f"{self.path}: bands state different scales and offsets, or some state none: {', '.join(ways)}; state "
                "--radiometry"
            )
        return next(iter(ways))

    def nodata(self, wanted: Sequence[str]) -> float | None:
        """The number of missing pixels by the product's metadata, None where it is silent; see :meth:`radiometry`."""
        numbers = dict.fromkeys(found.nodata for found in self._of(wanted) if found.nodata is not None)
        if len(numbers) > 1:
            raise RadiometryError(
                f"{self.path}: bands state different numbers of missing pixels: {', '.join(map(str, numbers))}; state "
                "--nodata"
            )
        return next(iter(numbers), None)

    def _of(self, wanted: Sequence[str]) -> Sequence[StatedNumbers]:
        if not self.file_bands:
            return self.stated
        return [said for band, said in zip(self.file_bands, self.stated, strict=False) if band in wanted]


def find_scenes(
    paths: Sequence[Path],
    *,
    gsd_m: float = 10.0,
    without: Path | None = None,
    owners: Mapping[str, str] | None = None,
) -> list[SceneSource]:
    """Every scene behind some paths, in their order, each with a distinct id.

    A path is a raster file, one file per band (``blue.tif``, ``..._B02.jp2``; files of one name belong together), a
    Sentinel-2 SAFE folder, a folder of Landsat bands, a STAC item with local assets, or a folder of any of these.
    What cannot be a scene comes back with a ``problem``: nothing is lost.

    Args:
        paths: where to look.
        gsd_m: the pixel size wanted, where a product holds a band in several.
        without: a folder to pass over, such as that of the outputs.
        owners: paths of scenes by ids that are theirs already; others are told apart from them.
    """
    search = _Search(gsd_m=gsd_m, passed={without.resolve()} if without else set())
    found: list[SceneSource] = []
    loose: list[Path] = []
    for path in paths:
        absolute = path.expanduser().absolute()
        if absolute.is_dir():
            found += search.folder(absolute)
        elif absolute.suffix.lower() == ".json":
            found.append(_of_item(absolute))
        elif absolute.is_file():
            loose.append(absolute)
        else:
            found.append(_absent(absolute))
    return _distinct([*found, *_of_rasters(loose)], owners or {})


@dataclass(frozen=True, kw_only=True)
class _Search:
    """A walk through folders that enters none twice, whatever links there are."""

    gsd_m: float
    passed: set[Path]

    def folder(self, folder: Path) -> list[SceneSource]:
        """Every scene in a folder and those below."""
        if folder.resolve() in self.passed:
            return []
        self.passed.add(folder.resolve())
        if folder.suffix.upper() == ".SAFE" or any((folder / name).is_file() for name in _METADATA):
            return _of_safe(folder, self.gsd_m)
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            problem = RasterError(f"{folder} cannot be listed: {error.strerror}; check its permissions")
            return [SceneSource(id=folder.name, path=folder, problem=problem)]
        files = [entry for entry in entries if entry.is_file()]
        items = [_of_item(path) for path in files if path.suffix.lower() == ".json" and is_item(path)]
        claimed = {Path(file) for item in items for file in item.files}
        rasters = [path for path in files if path.suffix.lower() in RASTERS and path not in claimed]
        odd = [path for path in entries if path.suffix.lower() in RASTERS and not path.is_file() and not path.is_dir()]
        below = [scene for entry in entries if entry.is_dir() for scene in self.folder(entry)]
        return [*items, *_of_rasters(rasters), *map(_absent, odd), *below]


def _absent(path: Path) -> SceneSource:
    kind = "something else than a file" if path.exists() else "nothing"
    problem = RasterError(f"expected a raster file or a folder at {path}, found {kind}; check the path")
    return SceneSource(id=path.stem or "scene", path=path, problem=problem)


def _of_safe(folder: Path, gsd_m: float) -> list[SceneSource]:
    """A scene per granule of a Sentinel-2 product."""
    granules = sorted(entry for entry in folder.glob("GRANULE/*") if entry.is_dir())
    if not granules:
        problem = RasterError(f"{folder} is a Sentinel-2 product without a GRANULE folder; fetch it again")
        return [SceneSource(id=folder.stem, path=folder, problem=problem)]
    scenes = [_of_granule(folder, granule, gsd_m) for granule in granules]
    if len(scenes) == 1:
        return scenes
    return [replace(scene, id=f"{scene.id}_{granule.name}") for scene, granule in zip(scenes, granules, strict=True)]


def _of_granule(folder: Path, granule: Path, gsd_m: float) -> SceneSource:
    best: dict[str, tuple[float, Path]] = {}
    for path in sorted(granule.rglob("*")):
        match = _SAFE_BAND.search(path.name)
        name = TABLES["sentinel-2"].get(match[1].upper()) if match and "IMG_DATA" in path.parts else None
        if not match or name is None:
            continue
        # Of several sizes the one wanted counts, else the finest.
        size = float(match[2] or 0)
        rank = size if size != gsd_m else 0.0
        if name not in best or rank < best[name][0]:
            best[name] = (rank, path)
    problem = None if best else RasterError(f"{granule} holds no band files in IMG_DATA; fetch the product again")
    return SceneSource(
        id=folder.stem,
        path=folder,
        files=tuple(str(path) for _, path in best.values()),
        file_bands=tuple(best),
        acquired=acquired_in(folder.name),
        problem=problem,
    )


def _of_rasters(paths: Sequence[Path]) -> list[SceneSource]:
    """Files of one band each, grouped by what else their names say; every other file is a scene of its own."""
    groups: dict[tuple[Path, str], list[tuple[str, Path]]] = {}
    for path in paths:
        band, rest = _band_in_name(path)
        key = (path.parent, rest if band else f"{path.name}/")
        groups.setdefault(key, []).append((band or "", path))
    for members in [members for members in groups.values() if len(members) > 1]:
        for member in [(band, path) for band, path in members if _holds_more_than_its_word(path)]:
            members.remove(member)
            groups[member[1].parent, f"{member[1].name}/"] = [member]
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
    """Whether a raster that is named by a word for a band has others too, such as ``red_sea.tif``.

    Not where it cannot be opened: whoever reads it will say so.
    """
    if band_token(path.stem):
        return False
    try:
        with opened(str(path)) as dataset:
            return int(dataset.count) > 1
    except RasterError:
        return False


def _is_part(name: str, product: str) -> bool:
    """Whether a file's name is that of a product's quality bits, angles or pictures, which are no scenes."""
    return name.startswith(product) and _PART.match(name[len(product) :]) is not None


def _of_group(rest: str, members: list[tuple[str, Path]]) -> SceneSource:
    first = members[0][1]
    if len(members) == 1:
        return SceneSource(id=first.stem, path=first, files=(str(first),), acquired=acquired_in(first.name))
    numbered = [path for band, path in members if band.startswith(_NUMBERED)]
    if numbered:
        # Nothing tells whose numbers they are: the reader decides, by all of them and by what the user states.
        files = tuple(str(path) for _, path in members)
        return SceneSource(
            id=rest or first.parent.name or "scene", path=first.parent, files=files, acquired=acquired_in(first.name)
        )
    usable = [(band, path) for band, path in members if band not in NOT_REFLECTIVE]
    bands = tuple(band for band, _ in usable)
    repeated = sorted({band for band in bands if bands.count(band) > 1})
    problem = None
    if repeated:
        named = ", ".join(repeated) or "one name"
        problem = BandError(f"{first.parent} holds several files of {named} of one scene; keep one")
    return SceneSource(
        id=rest or first.parent.name or "scene",
        path=first.parent,
        files=tuple(str(path) for _, path in usable),
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


def _of_item(path: Path) -> SceneSource:
    try:
        item = read_item(path)
    except DataError as error:
        return SceneSource(id=path.stem, path=path, problem=error)
    return SceneSource(
        id=item.id,
        path=path,
        files=item.files,
        file_bands=item.bands,
        stated=item.stated,
        acquired=item.acquired,
    )


def _distinct(scenes: Iterable[SceneSource], owners: Mapping[str, str]) -> list[SceneSource]:
    """The same scenes with ids that are file names, told apart by the folder they lie in, then by number."""
    taken: set[str] = set()
    owned = {name.casefold(): owner for name, owner in owners.items()}
    named = []
    for scene in scenes:
        plain = re.sub(r"[^\w.+-]+", "_", scene.id).strip("._") or "scene"
        numbered = (f"{plain}-{number}" for number in count(2))
        choices = chain((plain, f"{scene.path.parent.name}_{plain}"), numbered)
        mine = str(scene.path)
        free = (choice for choice in choices if owned.get(choice.casefold(), mine) == mine)
        chosen = next(choice for choice in free if choice.casefold() not in taken)
        taken.add(chosen.casefold())
        named.append(replace(scene, id=chosen))
    return named
