"""A tiny set of places with two dates each, packed as any other."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.nets.model import ModelCard
from satsqueeze.nets.unet_config import UNetConfig

BANDS = ("blue", "green", "red", "nir")
SIDE = 40
PLACES = 6
CARD = """
name: fields
bands: [blue, green, red, nir]
scale: 0.0001
nodata: 0
classes: [field, wood, cloud]
foreground: []
group: '(p\\d+)_d\\d+'
"""


def write_tif(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype.name}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as handle:
        handle.write(values)


def fields(seed: int, date: int) -> tuple[np.ndarray, np.ndarray]:
    """Rough dark woods in fields of a colour of their own, brighter later: DN uint16 (4, 40, 40), label (40, 40)."""
    generator = np.random.default_rng(seed)
    label = np.zeros((SIDE, SIDE), np.uint8)
    row, col = generator.integers(5, 25, 2)
    label[row : row + 14, col : col + 14] = 1
    rough = generator.normal(0, 1, (4, SIDE, SIDE)) * (60 + 240 * label)
    slope = generator.uniform(-30, 30, (4, 1, 1)) * np.arange(SIDE)[:, None]
    colour = generator.uniform(-900, 900, (4, 1, 1)) + slope
    image = 2500 - 1200.0 * label + rough + colour + 300 * date
    return image.clip(1).astype(np.uint16), label


def write_places(folder: Path, places: int = PLACES, dates: int = 2, labelled: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(CARD)
    for place in range(places):
        for date in range(dates):
            image, label = fields(place, date)
            image[:, :4] = 0  # a margin without measurement
            if date:
                label[30:36, 30:36] = 2  # a cloud
            write_tif(folder / f"images/p{place}_d{date}.tif", image)
            if labelled:
                write_tif(folder / f"labels/p{place}_d{date}.tif", label[None])
    return folder


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> Path:
    """Folder of six places of 40 x 40 px at two dates: nodata above, and a labelled cloud at the second date."""
    return write_places(tmp_path_factory.mktemp("places") / "fields")


@pytest.fixture(scope="session")
def cache(places, tmp_path_factory) -> PackedCache:
    return pack(open_dataset(places), tmp_path_factory.mktemp("packed") / "cache")


def make_card(bands=BANDS, **changes) -> ModelCard:
    config = {
        "in_channels": len(bands),
        "classes": 1,
        "features": (6, 8),
        "strides": (1, 2),
        "convs_encoder": (1, 1),
        "convs_decoder": (1,),
        "norm": "batch",
    } | changes
    scaling = Scaling(bands=bands, mean=(0.2,) * len(bands), std=(0.06,) * len(bands))
    return ModelCard(
        name="tiny",
        family="unet",
        config=UNetConfig(**config),
        scaling=scaling,
        bands=bands,
        classes=tuple(f"class {number}" for number in range(config["classes"])),
        foreground=(),
    )


@pytest.fixture
def model_card():
    return make_card
