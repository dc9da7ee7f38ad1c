"""Derive the land-cover spectra of the scene generator from EuroSAT multispectral tiles.

Reads ``../shared/data/eurosat-ms`` (Sentinel-2 level-1C, reflectance x 10000, not part of the project) and writes
``src/satsqueeze/data/synth/spectra.json``: per class the mean, the covariance between tiles and the covariance within
tiles of 13 bands. Only these figures enter the project, no pixel does.

Usage: python scripts/derive_spectra.py [EUROSAT_FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.errors import RasterError
from satsqueeze.core.files import write_json

ROOT = Path(__file__).resolve().parents[1]
EUROSAT = ROOT.parent / "shared" / "data" / "eurosat-ms" / "EuroSAT_MS"
TARGET = ROOT / "src" / "satsqueeze" / "data" / "synth" / "spectra.json"
# EuroSAT stores B01..B08, B09, B10, B11, B12 and B8A last; our order is by wavelength.
FROM_EUROSAT = (0, 1, 2, 3, 4, 5, 6, 7, 12, 8, 9, 10, 11)
GREEN, RED, NIR, BLUE = 2, 3, 7, 1
MIN_PIXELS = 200

Pixels = NDArray[np.float64]
Choice = Callable[[Pixels], NDArray[np.bool_]]


def ndvi(pixels: Pixels) -> Pixels:
    """Normalised difference vegetation index of (13, N) reflectance."""
    index: Pixels = (pixels[NIR] - pixels[RED]) / (pixels[NIR] + pixels[RED])
    return index


def ndwi(pixels: Pixels) -> Pixels:
    """Normalised difference water index of (13, N) reflectance (McFeeters 1996)."""
    index: Pixels = (pixels[GREEN] - pixels[NIR]) / (pixels[GREEN] + pixels[NIR])
    return index


def everything(pixels: Pixels) -> NDArray[np.bool_]:
    """All pixels."""
    return np.ones(pixels.shape[1], dtype=bool)


# land cover -> EuroSAT class and which of its pixels, because tiles mix covers
SOURCES: dict[str, tuple[str, Choice]] = {
    "water": ("SeaLake", lambda p: ndwi(p) > 0.1),
    "turbid_water": ("River", lambda p: ndwi(p) > 0.05),
    "forest": ("Forest", everything),
    "crop": ("AnnualCrop", lambda p: ndvi(p) > 0.45),
    "bare_soil": ("AnnualCrop", lambda p: ndvi(p) < 0.25),
    "pasture": ("Pasture", lambda p: ndvi(p) > 0.4),
    "orchard": ("PermanentCrop", everything),
    "herbaceous": ("HerbaceousVegetation", everything),
    "residential": ("Residential", everything),
    "industrial": ("Industrial", everything),
    "road": ("Highway", lambda p: ndvi(p) < 0.3),
    "bright_roof": ("Industrial", lambda p: p[BLUE] > np.quantile(p[BLUE], 0.93)),
}


def read_tiles(folder: Path) -> list[Pixels]:
    """Tiles of one class as (13, N) reflectance, bands by wavelength."""
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        raise RasterError(f"no GeoTIFF in {folder}; expected EuroSAT_MS/<Class>/*.tif, give the folder as argument")
    tiles = []
    for path in paths:
        with rasterio.open(path) as source:
            values = source.read(out_dtype=np.float64) / 10000.0
        tiles.append(values[list(FROM_EUROSAT)].reshape(len(FROM_EUROSAT), -1))
    return tiles


def statistics(tiles: list[Pixels], choice: Choice) -> dict[str, object]:
    """Mean, covariance of tile means and pooled covariance within tiles of the chosen pixels."""
    joined = np.concatenate(tiles, axis=1)
    chosen = np.split(choice(joined), np.cumsum([tile.shape[1] for tile in tiles])[:-1])
    parts = [tile[:, keep] for tile, keep in zip(tiles, chosen, strict=True) if keep.sum() >= MIN_PIXELS]
    if len(parts) < 3:
        parts = [tile[:, keep] for tile, keep in zip(tiles, chosen, strict=True) if keep.sum() >= 20]
    means = np.stack([part.mean(axis=1) for part in parts], axis=1)
    counts = np.array([part.shape[1] for part in parts], dtype=np.float64)
    within = sum(np.cov(part, bias=True) * part.shape[1] for part in parts) / counts.sum()
    return {
        "mean": rounded(means.mean(axis=1), 5),
        "between": rounded(np.cov(means), 8),
        "within": rounded(np.asarray(within), 8),
        "tiles": len(parts),
        "pixels": int(counts.sum()),
    }


def rounded(values: NDArray[np.float64], decimals: int) -> list[object]:
    """Nested lists with a fixed number of decimals, so that the file is stable."""
    result: list[object] = np.round(values, decimals).tolist()
    return result


def main() -> None:
    """Derive and write."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else EUROSAT
    classes = {name: statistics(read_tiles(folder / source), choice) for name, (source, choice) in SOURCES.items()}
    write_json(
        TARGET,
        {
            "source": "EuroSAT multispectral (Helber et al. 2019), Sentinel-2 L1C top-of-atmosphere reflectance",
            "derived_by": "scripts/derive_spectra.py",
            "bands": list(SENTINEL2),
            "classes": classes,
        },
    )


if __name__ == "__main__":
    main()
