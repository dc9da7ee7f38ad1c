"""Scenes on disk: georeferenced GeoTIFFs like a real product, and whole data sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from rasterio.transform import Affine

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import replacing, write_text
from satsqueeze.core.labels import CLOUD_CLASSES, IGNORE
from satsqueeze.core.radiometry import Radiometry
from satsqueeze.data.made_folder import claim
from satsqueeze.data.synth.biomes import BIOMES, Biome
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.scene import SceneSettings, SynthScene, generate_scene

QUANTIFICATION = 10_000
OFFSET_DN = 1000
"""DN = reflectance * 10000 + 1000, as Sentinel-2 level 1C since processing baseline 04.00; DN 0 is nodata."""
RADIOMETRY = Radiometry(scale=1 / QUANTIFICATION, offset=-OFFSET_DN / QUANTIFICATION, provenance="as generated")
CRS = "EPSG:32633"
_SPACING_M = 100_000.0
_TILE = 256


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """A data set of generated scenes."""

    seed: int
    """Of everything that is drawn; the same seed gives the same files."""
    scenes: int = 16
    """How many scenes; each is one group, so that a split never cuts through one."""
    size: int = 256
    """Side of a patch, pixels."""
    patches_per_scene: int = 1
    """Patches cut from each scene, side by side; 1 writes scenes of the size of one patch."""
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    """Common names, in channel order."""
    gsd: float = 10.0
    """Pixel size, metres."""
    biomes: tuple[Biome, ...] = BIOMES
    """Biomes, in turn."""
    cloud_fraction: float | None = None
    """The same share of clouds for every scene, or None to draw one each."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.patches_per_scene < 1:
            raise SettingsError(
                f"at least one scene and one patch are needed, got {self.scenes} and {self.patches_per_scene}"
            )
        if not self.biomes:
            raise SettingsError(f"at least one biome is needed; known: {', '.join(BIOMES)}")
        for number in range(min(self.scenes, len(self.biomes))):
            self.scene(number)

    def scene(self, number: int) -> SceneSettings:
        """Settings of one scene: as many patches wide and high as are needed.

        Raises:
            SettingsError: a setting out of range.
        """
        cols = int(np.ceil(np.sqrt(self.patches_per_scene)))
        rows = -(-self.patches_per_scene // cols)
        return SceneSettings(
            seed=int(stream(self.seed, "dataset", str(number)).integers(2**31)),
            height=rows * self.size,
            width=cols * self.size,
            bands=self.bands,
            gsd=self.gsd,
            biome=self.biomes[number % len(self.biomes)],
            cloud_fraction=self.cloud_fraction,
        )


def write_scene(scene: SynthScene, folder: Path, name: str) -> None:
    """Write a scene as ``images/<name>.tif``, ``labels/<name>.tif`` and ``landcover/<name>.tif``.

    Images are uint16 with DN = reflectance * 10000 + 1000 and 0 for nodata; labels and land cover are uint8 with 255
    for nodata. All are tiled, deflated and in UTM. Each file is written whole or not at all.

    Args:
        scene: what to write.
        folder: where; made if absent.
        name: file name without suffix.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    whole = Crop(name=name, row=0, col=0, size=scene.labels.shape)
    _write_crop(scene, whole, folder, _EAST)


def write_dataset(settings: DatasetSettings, folder: Path) -> list[str]:
    """Generate scenes, cut them into patches, write them and their card ``dataset.yaml``.

    Args:
        settings: what to generate.
        folder: where; made if absent.

    Returns:
        Names of the patches, ``scene<number>_patch<number>``.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    claim(folder, settings)
    names: list[str] = []
    for number in range(settings.scenes):
        scene = generate_scene(settings.scene(number))
        for crop in _crops(settings, number):
            _write_crop(scene, crop, folder, _EAST + number * _SPACING_M)
            names.append(crop.name)
    write_text(folder / "dataset.yaml", yaml.safe_dump(card_dict(settings), sort_keys=False, allow_unicode=True))
    return names


def card_dict(settings: DatasetSettings) -> dict[str, Any]:
    """The data set's card as plain values."""
    return {
        "name": "synthetic",
        "task": "segmentation",
        "images": "images/*.tif",
        "labels": "labels/{name}.tif",
        "group": r"(.+?)(?:_patch\d+)?$",
        "bands": [
            {"name": band, "wavelength_nm": SENTINEL2[band].wavelength_nm, "gsd_m": settings.gsd}
            for band in settings.bands
        ],
        "scale": RADIOMETRY.scale,
        "offset": RADIOMETRY.offset,
        "nodata": 0,
        "classes": list(CLOUD_CLASSES),
        "ignore": IGNORE,
        "licence": "Apache-2.0",
        "source": f"generated by satsqueeze, seed {settings.seed}",
    }


def to_digital(reflectance: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Reflectance (C, H, W) as uint16 digital numbers 1..65534, and 0 where invalid (65535 would mean saturated)."""
    digital = np.rint(reflectance.astype(np.float64) * QUANTIFICATION + OFFSET_DN)
    return np.where(valid, np.clip(digital, 1, 65534), 0).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A part of a scene and its name."""

    name: str
    row: int
    col: int
    size: tuple[int, ...]


_EAST, _NORTH = 300_000.0, 5_000_040.0


def _crops(settings: DatasetSettings, number: int) -> list[Crop]:
    size = settings.size
    cols = int(np.ceil(np.sqrt(settings.patches_per_scene)))
    return [
        Crop(
            name=f"scene{number:04d}_patch{patch:02d}",
            row=patch // cols * size,
            col=patch % cols * size,
            size=(size, size),
        )
        for patch in range(settings.patches_per_scene)
    ]


def _write_crop(scene: SynthScene, crop: Crop, folder: Path, east: float) -> None:
    rows, cols = slice(crop.row, crop.row + crop.size[0]), slice(crop.col, crop.col + crop.size[1])
    valid = scene.valid[rows, cols]
    place = Affine(scene.gsd, 0.0, east + crop.col * scene.gsd, 0.0, -scene.gsd, _NORTH - crop.row * scene.gsd)
    image = to_digital(scene.reflectance[:, rows, cols], valid)
    tags = {
        "SUN_ZENITH_DEG": f"{scene.sun_zenith_deg:.3f}",
        "SUN_AZIMUTH_DEG": f"{scene.sun_azimuth_deg:.3f}",
        "REFLECTANCE": f"DN * {RADIOMETRY.scale:g} + {RADIOMETRY.offset:g}",
    }
    _write_tiff(
        folder / "images" / f"{crop.name}.tif", image, scene.bands, place, nodata=0, tags=tags, radiometry=RADIOMETRY
    )
    for kind, values in (("labels", scene.labels), ("landcover", scene.land_cover)):
        path = folder / kind / f"{crop.name}.tif"
        _write_tiff(path, values[None, rows, cols], (kind,), place, nodata=IGNORE, tags={})


def _write_tiff(
    path: Path,
    values: NDArray[Any],
    names: tuple[str, ...],
    transform: Affine,
    *,
    nodata: int,
    tags: dict[str, str],
    radiometry: Radiometry | None = None,
) -> None:
    profile = {
        "driver": "GTiff",
        "dtype": values.dtype.name,
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "crs": CRS,
        "transform": transform,
        "nodata": nodata,
        "compress": "deflate",
        "predictor": 2,
    }
    if min(values.shape[1:]) >= _TILE:
        profile |= {"tiled": True, "blockxsize": _TILE, "blockysize": _TILE}
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as target:
        target.write(values)
        target.descriptions = names
        target.update_tags(**tags)
        if radiometry is not None:
            target.scales = [radiometry.scale] * target.count
            target.offsets = [radiometry.offset] * target.count
