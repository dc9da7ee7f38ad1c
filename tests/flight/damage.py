"""Scenes with something wrong: more than 200, written from a seed.

Each kind says what a batch must make of it. ``quarantined``: put aside with a reason. ``either``: put aside or masked
whole, as where a flipped byte decodes to other numbers: GeoTIFF has no checksum that GDAL would compare.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio

from .scene_files import BANDS, SCALE, numbers, write, write_item, write_landsat, write_safe, write_scene

SIZE = 96, 80
NO_OFFSET = (
    "<P><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE></P>"
)


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A path that a batch is given."""

    name: str
    path: Path
    expect: Literal["quarantined", "either"] = "quarantined"


def damaged_scenes(folder: Path, *, seed: int = 0) -> Iterator[Damaged]:
    """Write every kind of damage below ``folder``."""
    generator = np.random.default_rng(seed)
    good = {
        "tiles": write_scene(folder / "sound/tiles.tif", *SIZE, block=32).read_bytes(),
        "strips": write_scene(folder / "sound/strips.tif", *SIZE, block=0).read_bytes(),
        "plain": write_scene(folder / "sound/plain.tif", *SIZE, block=32, predictor=2).read_bytes(),
    }
    places = {kind: _blocks(folder / f"sound/{kind}.tif") for kind in good}
    for kind, data in good.items():
        yield from _cut(folder / "cut", kind, data)
        yield from _flipped(folder / "flipped", kind, data, places[kind], generator)
        yield from _zeroed(folder / "zeroed", kind, data, places[kind], generator)
        yield from _header(folder / "header", kind, data, generator)
    yield from _contents(folder / "contents", generator)
    yield from _bands(folder / "bands")
    yield from _no_rasters(folder / "no-raster", generator)
    yield from _products(folder / "products")


def _blocks(path: Path) -> list[tuple[int, int]]:
    """Offset and length of every compressed block."""
    found = []
    with rasterio.open(path) as source:
        tall, wide = source.block_shapes[0]
        for band in range(1, source.count + 1):
            for row in range(-(-source.height // tall)):
                for col in range(-(-source.width // wide)):
                    values = [
                        source.get_tag_item(f"BLOCK_{k}_{col}_{row}", "TIFF", bidx=band) for k in ("OFFSET", "SIZE")
                    ]
                    if values[0] is not None:
                        found.append((int(values[0]), int(values[1])))
    return sorted(set(found))


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _cut(folder: Path, kind: str, data: bytes) -> Iterator[Damaged]:
    for number, share in enumerate(np.linspace(0, 0.97, 22)):
        name = f"{kind}-cut{number}"
        yield Damaged(name=name, path=_put(folder / f"{name}.tif", data[: int(share * len(data))]))


def _flipped(folder: Path, kind: str, data: bytes, blocks: list, generator: np.random.Generator) -> Iterator[Damaged]:
    for number in range(9):
        offset, size = blocks[generator.integers(len(blocks))]
        changed = bytearray(data)
        # Not the first two bytes of the stream, and not the checksum itself.
        place = offset + int(generator.integers(2, max(3, size - 4)))
        changed[place] ^= int(generator.integers(1, 256))
        name = f"{kind}-flip{number}"
        yield Damaged(name=name, path=_put(folder / f"{name}.tif", bytes(changed)), expect="either")


def _zeroed(folder: Path, kind: str, data: bytes, blocks: list, generator: np.random.Generator) -> Iterator[Damaged]:
    for number in range(10):
        offset, size = blocks[generator.integers(len(blocks))]
        changed = bytearray(data)
        changed[offset : offset + size] = bytes(size)
        name = f"{kind}-zero{number}"
        yield Damaged(name=name, path=_put(folder / f"{name}.tif", bytes(changed)))


def _header(folder: Path, kind: str, data: bytes, generator: np.random.Generator) -> Iterator[Damaged]:
    # The first directory of these files lies in the first bytes.
    for number in range(11):
        changed = bytearray(data)
        for place in generator.integers(0, 260, size=3):
            changed[place] = int(generator.integers(0, 256))
        name = f"{kind}-head{number}"
        yield Damaged(name=name, path=_put(folder / f"{name}.tif", bytes(changed)), expect="either")


def _contents(folder: Path, generator: np.random.Generator) -> Iterator[Damaged]:
    shape = (4, *SIZE)
    whole = {
        "all-nodata": np.zeros(shape, np.uint16),
        "all-saturated": np.full(shape, 65535, np.uint16),
        "all-nan": np.full(shape, np.nan, np.float32),
        "all-inf": np.full(shape, np.inf, np.float32),
        "one-band-nan": np.stack([np.full(SIZE, v, np.float32) for v in (0.1, 0.2, np.nan, 0.3)]),
        "one-band-nodata": np.stack([np.full(SIZE, v, np.uint16) for v in (0, 900, 900, 900)]),
        "digital-as-reflectance": numbers(*SIZE).astype(np.float32),
        "numbers-without-scale": numbers(*SIZE),
        "bytes-without-scale": generator.integers(1, 255, shape).astype(np.uint8),
        "complex": numbers(*SIZE).astype(np.complex64),
    }
    for name, values in whole.items():
        path = write(folder / f"{name}.tif", values, names=BANDS, nodata=None if values.dtype.kind in "fc" else 0)
        if name.startswith(("all-s", "all-no", "one-band-no")):
            with rasterio.open(path, "r+") as target:
                target.scales = (SCALE,) * 4
                target.nodata = 65535 if name == "all-saturated" else 0
        yield Damaged(name=name, path=path)
    huge = folder / "huge.tif"
    profile = {"driver": "GTiff", "height": 2**18, "width": 2**18, "count": 4, "dtype": "uint16"}
    with rasterio.open(
        huge, "w", **profile, tiled=True, blockxsize=4096, blockysize=4096, sparse_ok=True, bigtiff=True
    ) as target:
        target.descriptions = BANDS
        target.scales = (SCALE,) * 4
    yield Damaged(name="huge", path=huge)


def _bands(folder: Path) -> Iterator[Damaged]:
    values = numbers(*SIZE)
    named = {
        "no-nir": (values[:3], BANDS[:3]),
        "no-names": (values, ()),
        "strange-names": (values, ("alpha", "beta", "gamma", "delta")),
        "twice-red": (values, ("blue", "red", "red", "nir")),
        "one-band": (values[:1], ("blue",)),
        "numbers-only": (values, ("B1", "B2", "B3", "B4")),
    }
    for name, (digital, names) in named.items():
        path = write(folder / f"{name}.tif", digital, names=names)
        with rasterio.open(path, "r+") as target:
            target.scales = (SCALE,) * len(digital)
        yield Damaged(name=name, path=path)
    for name, place in (("off-grid", {"gsd": 10.3}), ("other-crs", {"crs": "EPSG:32632"})):
        for band, digital in zip(BANDS, values, strict=True):
            write(folder / name / f"{band}.tif", digital[None], **(place if band == "nir" else {}))
        yield Damaged(name=name, path=folder / name)


def _no_rasters(folder: Path, generator: np.random.Generator) -> Iterator[Damaged]:
    contents = {
        "empty": b"",
        "text": b"this is no raster\n" * 40,
        "html": b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>",
        "little-endian-only": b"II*\0",
        "loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "zip": b"PK\x03\x04" + bytes(60),
        "jpeg-start": b"\xff\xd8\xff\xe0" + bytes(200),
        **{f"noise{number}": generator.bytes(50 * 4**number) for number in range(6)},
        **{f"tiff-noise{number}": b"II*\0\x08\0\0\0" + generator.bytes(40 * 4**number) for number in range(6)},
    }
    for name, data in contents.items():
        yield Damaged(name=name, path=_put(folder / f"{name}.tif", data))
    yield Damaged(
        name="noise-jp2", path=_put(folder / "noise-jp2.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + generator.bytes(900))
    )
    os.mkfifo(folder / "pipe.tif")
    yield Damaged(name="pipe", path=folder / "pipe.tif")
    (folder / "nowhere.tif").symlink_to(folder / "not-there.tif")
    yield Damaged(name="dangling-link", path=folder / "nowhere.tif")
    yield Damaged(name="absent", path=folder / "absent.tif")


def _products(folder: Path) -> Iterator[Damaged]:
    def changed(name, make, change):
        root = make(folder / name, *SIZE)
        change(root)
        return Damaged(name=name, path=root)

    def without(pattern):
        return lambda root: [path.unlink() for path in list(root.rglob(pattern))]

    def cut(pattern):
        return lambda root: [path.write_bytes(path.read_bytes()[:700]) for path in list(root.rglob(pattern))]

    def metadata(text):
        return lambda root: (root / "MTD_MSIL2A.xml").write_text(text)

    yield changed("safe-no-red", write_safe, without("*_B04_10m.tif"))
    yield changed("safe-cut-red", write_safe, cut("*_B04_10m.tif"))
    yield changed("safe-no-images", write_safe, without("*.tif"))
    yield changed("safe-broken-xml", write_safe, metadata("<Product><BOA_ADD"))
    yield changed("safe-no-offset", write_safe, metadata(NO_OFFSET))
    yield changed("safe-two-offsets", write_safe, metadata(
        "<P><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET>0</BOA_ADD_OFFSET>"
        "<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE></P>"
    ))  # fmt: skip
    yield changed("landsat-no-nir", write_landsat, without("*_B5.TIF"))
    yield changed("landsat-cut-nir", write_landsat, cut("*_B5.TIF"))
    (folder / "safe-empty" / "S2A_MSIL2A_20240105T103421_N0510_R108_T31UFT_20240105T120000.SAFE").mkdir(parents=True)
    yield Damaged(name="safe-empty", path=next((folder / "safe-empty").iterdir()))
    for name, change in {
        "item-no-assets": lambda record: record.pop("assets"),
        "item-no-nir": lambda record: record["assets"].pop("nir"),
        "item-remote": lambda record: record["assets"]["red"].update(href="https://example.org/red.tif"),
        "item-absent": lambda record: record["assets"]["red"].update(href="./absent.tif"),
        "item-two-scales": lambda record: record["assets"]["red"]["raster:bands"][0].update(scale=2e-4),
        "item-zero-scale": lambda record: [
            a.get("raster:bands", [{}])[0].update(scale=0) for a in record["assets"].values()
        ],
        "item-no-href": lambda record: record["assets"]["red"].pop("href"),
        "item-list": lambda record: record.update(assets=[1, 2]),
        "item-no-type": lambda record: record.pop("type"),
    }.items():
        path = write_item(folder / name, *SIZE)
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))
        yield Damaged(name=name, path=path)
    path = write_item(folder / "item-cut", *SIZE)
    path.write_text(path.read_text()[:300])
    yield Damaged(name="item-cut", path=path)
    yield Damaged(name="item-deep", path=_put(folder / "item-deep/item.json", b"[" * 100_000))
