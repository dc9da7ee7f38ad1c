"""Scenes as people keep them: files, folders of products, STAC items, folders of all of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path

from satsqueeze.core.errors import DataError, RasterError
from satsqueeze.data.scene.band_files import raster_scenes
from satsqueeze.data.scene.safe_product import is_safe, safe_scenes
from satsqueeze.data.scene.source import SceneSource
from satsqueeze.data.scene.stac_item import is_item, read_item

RASTERS = frozenset({".tif", ".tiff", ".jp2", ".vrt", ".img", ".png"})
_LONGEST_ID = 160
"""Bytes: file systems take names of 255, and those of files on their way are longer by what tells them apart."""


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
    return _distinct([*found, *raster_scenes(loose)], owners or {})


@dataclass(frozen=True, kw_only=True)
class _Search:
    """A walk through folders that enters none twice, whatever links there are."""

    gsd_m: float
    passed: set[Path]
    claimed: set[Path] = field(default_factory=set)
    """Files of items that were met: in the folder of their item or below it they are no scenes of their own."""

    def folder(self, folder: Path) -> list[SceneSource]:
        """Every scene in a folder and those below."""
        if folder.resolve() in self.passed:
            return []
        self.passed.add(folder.resolve())
        if is_safe(folder):
            return safe_scenes(folder, self.gsd_m)
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            problem = RasterError(f"{folder} cannot be listed: {error.strerror}; check its permissions")
            return [SceneSource(id=folder.name, path=folder, problem=problem)]
        files = [entry for entry in entries if entry.is_file()]
        items = [_of_item(path) for path in files if path.suffix.lower() == ".json" and is_item(path)]
        self.claimed.update(Path(file) for item in items for file in item.files)
        rasters = [path for path in files if path.suffix.lower() in RASTERS and path not in self.claimed]
        odd = [path for path in entries if path.suffix.lower() in RASTERS and not path.is_file() and not path.is_dir()]
        below = [scene for entry in entries if entry.is_dir() for scene in self.folder(entry)]
        return [*items, *raster_scenes(rasters), *map(_absent, odd), *below]


def _absent(path: Path) -> SceneSource:
    kind = "something else than a file" if path.exists() else "nothing"
    problem = RasterError(f"expected a raster file or a folder at {path}, found {kind}; check the path")
    return SceneSource(id=path.stem or "scene", path=path, problem=problem)


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
        channels=item.channels,
        stated=item.stated,
        acquired=item.acquired,
    )


def _distinct(scenes: Iterable[SceneSource], owners: Mapping[str, str]) -> list[SceneSource]:
    """The same scenes with ids that are file names, told apart by the folder they lie in, then by number."""
    taken: set[str] = set()
    owned = {name.casefold(): owner for name, owner in owners.items()}
    named = []
    for scene in scenes:
        plain = _cut(re.sub(r"[^\w.+-]+", "_", scene.id).strip("._")) or "scene"
        numbered = (f"{plain}-{number}" for number in count(2))
        choices = chain((plain, _cut(f"{scene.path.parent.name}_{plain}")), numbered)
        mine = str(scene.path)
        free = (choice for choice in choices if owned.get(choice.casefold(), mine) == mine)
        chosen = next(choice for choice in free if choice.casefold() not in taken)
        taken.add(chosen.casefold())
        named.append(replace(scene, id=chosen))
    return named


def _cut(name: str) -> str:
    return name.encode(errors="ignore")[:_LONGEST_ID].decode(errors="ignore")
