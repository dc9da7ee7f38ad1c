"""A generated scene of any size, written strip by strip: land, bright clouds of many sizes, a nodata edge, noise.

It looks like no place; what counts is that it has the size, type, blocks and compressibility of a real one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window

BANDS = ("blue", "green", "red", "nir")
OFFSET_DN, QUANTIFICATION = -1000, 10000
LAND = (0.06, 0.08, 0.07, 0.28)
CLOUD = (0.55, 0.54, 0.54, 0.58)
ROWS = 256


def big_scene(path: Path, side: int, *, bands: int = 4, block: int = 512, seed: int = 0) -> Path:
    """Write ``side`` x ``side`` pixels of uint16, Sentinel-2 style (baseline 04.00), tiled and deflated."""
    generator = np.random.default_rng(seed)
    waves = [(*generator.normal(size=2) / scale, generator.uniform(0, 6)) for scale in (8, 20, 60, 150, 400, 900) * 3]
    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": "uint16", "nodata": 0,
        "crs": "EPSG:32631", "transform": Affine(10, 0, 5e5, 0, -10, 5.7e6), "tiled": True, "blockxsize": block,
        "blockysize": block, "compress": "deflate", "predictor": 2, "num_threads": 2,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as target:
        target.descriptions = BANDS[:bands]
        target.scales = (1 / QUANTIFICATION,) * bands
        target.offsets = (OFFSET_DN / QUANTIFICATION,) * bands
        for row in range(0, side, ROWS):
            rows = min(ROWS, side - row)
            target.write(_strip(Window(0, row, side, rows), bands, waves, generator), window=Window(0, row, side, rows))
    return path


def _strip(
    window: Window, bands: int, waves: list[tuple[float, float, float]], generator: np.random.Generator
) -> NDArray[np.uint16]:
    row, rows, side = window.row_off, window.height, window.width
    down, across = np.mgrid[row : row + rows, :side].astype(np.float32)
    field = sum((np.sin(down * np.float32(y) + across * np.float32(x) + np.float32(p)) for y, x, p in waves))
    cloud = np.clip((field - 2) / 3, 0, 1)
    strip = np.empty((bands, rows, side), np.uint16)
    for band in range(bands):
        clear = LAND[band] * (1 + 0.08 * field)
        reflectance = clear + (CLOUD[band] - clear) * cloud + generator.normal(0, 0.003, field.shape).astype(np.float32)
        strip[band] = np.clip(np.rint(reflectance * QUANTIFICATION - OFFSET_DN), 1, 20000)
    strip[:, across + 0.2 * down < side / 12] = 0
    return strip
