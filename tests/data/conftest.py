"""Tiny rasters and data sets for the tests of the data room."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

FOUR_BANDS = ("blue", "green", "red", "nir")


def write_tiff(path, values, *, names=None, crs=None, gsd=10.0, origin=(300000.0, 5000000.0), driver="GTiff", **more):
    """A raster of (C, H, W) or (H, W) values; ``more`` goes to rasterio, but scales, offsets and tags to the file."""
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    path.parent.mkdir(parents=True, exist_ok=True)
    after = {key: more.pop(key) for key in ("scales", "offsets") if key in more}
    if crs:
        more |= {"crs": crs, "transform": Affine(gsd, 0, origin[0], 0, -gsd, origin[1])}
    profile = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver=driver, **profile, **more) as target:
            target.write(values)
            if names:
                target.descriptions = names
            for key, value in after.items():
                setattr(target, key, value)
    return path


@pytest.fixture(name="write_tiff")
def write_tiff_fixture():
    return write_tiff


@pytest.fixture
def reflectance():
    """A function that draws plausible float32 reflectance (C, H, W)."""

    def draw(seed=0, channels=4, height=24, width=20):
        return np.random.default_rng(seed).uniform(0.02, 0.6, (channels, height, width)).astype(np.float32)

    return draw


@pytest.fixture
def make_folder(reflectance):
    """A function that writes a data set of the card ``folder`` and returns its path."""

    def make(root: Path, *, names=("a", "b", "c"), masks="labels", classes=(0, 1, 2, 3), **more):
        for number, name in enumerate(names):
            image = reflectance(number)
            label = np.random.default_rng(number).choice(classes, image.shape[1:]).astype(np.uint8)
            write_tiff(root / "images" / f"{name}.tif", image, names=FOUR_BANDS, **more)
            write_tiff(root / masks / f"{name}.tif", label, **more)
        return root

    return make


@pytest.fixture
def shared_data():
    """The folder of real data, or a skip."""
    root = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"real data is not at {root}")
    return root


TILE_CARD = """
name: tiles
task: classification
bands: [red, green, blue]
images: '{above}{label:[A-Za-z]+}/{name:.*}.tif'
label_kind: path
classes: [field, forest, water]
foreground: []
scale: 0.001
stratum: '{label}'
"""


@pytest.fixture
def tile_folder():
    """A function that writes tiles of three classes in folders called after them and returns their root."""

    def make(root: Path, *, count=12, side=8, card=TILE_CARD) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        (root / "dataset.yaml").write_text(card)
        generator = np.random.default_rng(0)
        for value, name in enumerate(("field", "forest", "water")):
            for number in range(count):
                tile = generator.integers(1, 300, (3, side, side)) + 300 * value
                write_tiff(root / name / f"{name}_{number}.tif", tile.astype(np.uint16))
        return root

    return make
