"""Sentinel-2 products as folders in ESA's SAFE format: one scene per granule, one file per band."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from satsqueeze.core.errors import RasterError
from satsqueeze.data.scene.band_naming import TABLES
from satsqueeze.data.scene.product_date import acquired_in
from satsqueeze.data.scene.source import SceneSource

METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
"""Names of the file that says what a product holds."""
_BAND = re.compile(r"_(B\d{2}|B8A)(?:_(\d+)m)?\.(?:jp2|tif)$", re.IGNORECASE)


def is_safe(folder: Path) -> bool:
    """Whether a folder is a Sentinel-2 product, by its name or by the metadata in it."""
    return folder.suffix.upper() == ".SAFE" or any((folder / name).is_file() for name in METADATA)


def safe_scenes(folder: Path, gsd_m: float) -> list[SceneSource]:
    """A scene per granule of a product; a product without any comes back as one scene with a ``problem``.

    Args:
        folder: of the product.
        gsd_m: the pixel size wanted, in metres; of a band in several sizes, this one is taken, else the finest.
    """
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
        match = _BAND.search(path.name)
        name = TABLES["sentinel-2"].get(match[1].upper()) if match and "IMG_DATA" in path.parts else None
        if not match or name is None:
            continue
        # Of several sizes the one wanted counts, else the finest.
        size = float(match[2] or 0)
        rank = size if size != gsd_m else 0.0
        if name not in best or rank < best[name][0]:
            best[name] = (rank, path)
    # Files of bands bear the time as well, where the folder was renamed.
    names = (folder.name, *(path.name for _, path in best.values()))
    problem = None if best else RasterError(f"{granule} holds no band files in IMG_DATA; fetch the product again")
    return SceneSource(
        id=folder.stem,
        path=folder,
        files=tuple(str(path) for _, path in best.values()),
        file_bands=tuple(best),
        acquired=next((moment for name in names if (moment := acquired_in(name))), None),
        problem=problem,
    )
