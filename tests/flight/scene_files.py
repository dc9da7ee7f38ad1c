"""Scenes on disk, made for tests: smooth reflectance as digital numbers, in the forms that people keep them."""

from __future__ import annotations

import json

import numpy as np
import rasterio
from rasterio import Affine

BANDS = ("blue", "green", "red", "nir")
SCALE = 1e-4


def numbers(height, width, *, seed=0):
    """uint16 (4, H, W): waves, with a nodata edge and a hole."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    image = np.full((4, height, width), 0.5)
    for _ in range(8):
        fy, fx = generator.normal(size=2) * 0.25
        image += 0.12 * np.sin(rows * fy + cols * fx + generator.uniform(0, 6, size=(4, 1, 1)))
    values = np.clip(np.rint(image / SCALE), 1, 15000).astype(np.uint16)
    values[:, (rows + 2 * cols) < (height + width) // 6] = 0
    values[1, height // 2 : height // 2 + 3, width // 3 : width // 3 + 5] = 0
    return values


def write(path, values, *, names=(), gsd=10.0, nodata=0, block=128, crs="EPSG:32631", origin=(6e5, 5e6), **more):
    """A tiled, deflated GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tiling = {"tiled": True, "blockxsize": block, "blockysize": block} if block else {}
    with rasterio.open(
        path, "w", driver="GTiff", count=values.shape[0], height=values.shape[1], width=values.shape[2],
        dtype=values.dtype, crs=crs, transform=Affine(gsd, 0, origin[0], 0, -gsd, origin[1]), nodata=nodata,
        compress="deflate", **tiling, **more,
    ) as target:  # fmt: skip
        target.write(values)
        if names:
            target.descriptions = names
    return path


def write_scene(path, height=150, width=133, *, seed=0, **more):
    """A multi-band file that names its bands and tags its scale."""
    write(path, numbers(height, width, seed=seed), names=BANDS, **more)
    with rasterio.open(path, "r+") as target:
        target.scales = (SCALE,) * 4
    return path


def write_safe(folder, height=144, width=120, *, seed=0):
    """A Sentinel-2 level-2A product: 10 m bands, and one of 20 m. Returns its folder."""
    name = "S2A_MSIL2A_20240105T103421_N0510_R108_T31UFT_20240105T120000"
    safe = folder / f"{name}.SAFE"
    image = safe / "GRANULE" / "L2A_T31UFT_A044618_20240105T103415" / "IMG_DATA"
    values = numbers(height, width, seed=seed) + np.uint16(1000)
    for token, band in zip(("B02", "B03", "B04", "B08"), values, strict=True):
        write(image / "R10m" / f"T31UFT_20240105T103421_{token}_10m.tif", band[None], nodata=None)
    coarse = values[3, ::2, ::2]
    write(image / "R20m" / "T31UFT_20240105T103421_B8A_20m.tif", coarse[None], gsd=20.0, nodata=None)
    write(image / "R20m" / "T31UFT_20240105T103421_B02_20m.tif", values[0, ::2, ::2][None], gsd=20.0, nodata=None)
    write(image / "R10m" / "T31UFT_20240105T103421_TCI_10m.tif", (values[:3] // 256).astype(np.uint8), nodata=None)
    (safe / "MTD_MSIL2A.xml").write_text(
        "<Product><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE><BOA_ADD_OFFSET band_id='0'>-1000</BOA_ADD_OFFSET>"
        "<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE></Product>"
    )
    return safe


def write_landsat(folder, height=100, width=90, *, seed=0):
    """A Landsat level-2 product with its quality bits and a thermal band. Returns its folder."""
    name = "LC08_L2SP_013031_20240105_20240110_02_T1"
    root = folder / name
    values = numbers(height, width, seed=seed)
    for number, band in zip((2, 3, 4, 5), values, strict=True):
        digital = np.where(band == 0, 0, (band * SCALE + 0.2) / 2.75e-5).astype(np.uint16)
        write(root / f"{name}_SR_B{number}.TIF", digital[None], gsd=30.0)
    write(root / f"{name}_ST_B10.TIF", values[:1], gsd=30.0)
    write(root / f"{name}_QA_PIXEL.TIF", values[:1], gsd=30.0)
    (root / f"{name}_MTL.txt").write_text("GROUP = LANDSAT_METADATA_FILE\nEND\n")
    return root


def write_item(folder, height=90, width=80, *, seed=0, applied=None):
    """A STAC item beside its assets. Returns its path."""
    values = numbers(height, width, seed=seed)
    assets = {}
    for band, digital in zip(BANDS, values, strict=True):
        write(folder / f"{band}.tif", digital[None], nodata=None)
        assets[band] = {
            "href": f"./{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "eo:bands": [{"name": band, "common_name": band}],
            "raster:bands": [{"scale": SCALE, "offset": 0.0 if applied is None else -0.1, "nodata": 0}],
        }
    assets["thumbnail"] = {"href": "https://example.org/t.png", "type": "image/png", "roles": ["thumbnail"]}
    properties = {"datetime": "2024-01-05T10:34:21Z"}
    if applied is not None:
        properties["earthsearch:boa_offset_applied"] = applied
    record = {
        "type": "Feature", "stac_version": "1.0.0", "id": "an-item", "geometry": None, "properties": properties,
        "links": [], "assets": assets,
    }  # fmt: skip
    path = folder / "an-item.json"
    path.write_text(json.dumps(record))
    return path
