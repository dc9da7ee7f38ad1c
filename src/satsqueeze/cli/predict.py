"""``satsqueeze predict``: mask an image with a flight package."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path

import numpy as np

from satsqueeze.core.errors import PackageError
from satsqueeze.flight.runtime import open_package

SHIPPED = "cloud-s2l8-4band"
"""Package that is used where none is named."""


def predict(
    images: list[Path],
    *,
    out: Path = Path("mask.tif"),
    package: Path | None = None,
    bands: list[str] | None = None,
    radiometry: str = "auto",
    preview: Path | None = None,
    threads: int = 2,
    json: bool = False,
) -> int:
    """Mask one image: a multi-band GeoTIFF, or its bands as several files.

    Args:
        images: one GeoTIFF with several bands, or one file per band (blue, green, red, nir of one grid).
        out: mask to write: uint8 GeoTIFF of class values on the image's grid, 255 where the image has no data.
        package: folder of a flight package; by default the cloud package that ships with satsqueeze.
        bands: common names of the image's bands in file order, where the files do not say.
        radiometry: what the numbers are, where the files do not say: reflectance, sentinel2-n0400, sentinel2-old,
            landsat-l1:<sun elevation in degrees>, landsat-l2, or scale:<reflectance per number>[:<offset>].
        preview: also write a PNG with true colour, mask and legend.
        threads: processor threads.
        json: print the class shares as JSON.
    """
    from satsqueeze.data.reader import open_scene
    from satsqueeze.flight.mask import quicklook, write_mask

    model = open_package(package or shipped_package(), threads=threads)
    reader = open_scene(images, bands=bands, radiometry=radiometry)
    raster = reader.read().select(model.bands)
    mask = model.predict(raster.values, bands=raster.bands, valid=raster.valid)
    write_mask(out, mask, georeference=raster.georeference, classes=model.classes)
    if preview is not None:
        quicklook(raster.values, mask, preview, classes=model.classes, bands=raster.bands)
    shares = class_shares(mask, model.classes)
    if json:
        print(dumps({"mask": str(out), "radiometry": raster.provenance, "shares": shares}, indent=2))
    else:
        print(f"{out}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
        print(f"radiometry: {raster.provenance}; model: {model.manifest.name} ({model.graph.precision})")
    return 0


def class_shares(mask: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """Share of each class among the valid pixels of a mask, and of nodata among all pixels."""
    valid = mask != 255
    count = max(int(valid.sum()), 1)
    shares = {name: float((mask == value).sum() / count) for value, name in enumerate(classes)}
    return {**shares, "nodata": float(1 - valid.mean())}


def shipped_package() -> Path:
    """Folder of the cloud package that ships with satsqueeze.

    Raises:
        PackageError: it is not there, as in an installation without the zoo.
    """
    source = Path(__file__).resolve().parents[3] / "zoo" / SHIPPED
    installed = Path(sys.prefix) / "share" / "satsqueeze" / "zoo" / SHIPPED
    for folder in (source, installed):
        if folder.is_dir():
            return folder
    raise PackageError(f"no package given and '{SHIPPED}' is neither at {installed} nor at {source}; give --package")
