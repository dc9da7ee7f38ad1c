"""A tiny labelled data set, packed as any other."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.nets.model import ModelCard, SegmentationModel, build_model
from satsqueeze.nets.unet_config import UNetConfig

BANDS = ("blue", "green", "red", "nir")
SIDE = 48
CARD = """
name: discs
bands: [blue, green, red, nir]
scale: 0.0001
nodata: 0
classes: [clear, cloud]
foreground: [1]
"""


def write_tif(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype.name}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as handle:
        handle.write(values)


def discs(seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on dark ground: DN uint16 (4, side, side), label uint8 (side, side)."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    label = np.zeros((side, side), np.uint8)
    for _ in range(2):
        row, col, radius = generator.integers(side), generator.integers(side), generator.integers(6, 14)
        label[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = 1
    noise = generator.normal(0, 200, (4, side, side))
    return (1000 + 3000.0 * label + noise).clip(1).astype(np.uint16), label


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> PackedCache:
    """Eight labelled images of 48 x 48 px."""
    folder = tmp_path_factory.mktemp("discs")
    (folder / "dataset.yaml").write_text(CARD)
    for index in range(8):
        image, label = discs(index)
        write_tif(folder / "images" / f"{index}.tif", image)
        write_tif(folder / "labels" / f"{index}.tif", label[None])
    return pack(open_dataset(folder), folder / "cache")


def make_card(bands=BANDS, **changes) -> ModelCard:
    config = {
        "in_channels": len(bands),
        "classes": 2,
        "features": (4, 8),
        "strides": (1, 2),
        "convs_encoder": (1, 1),
        "convs_decoder": (1,),
        "norm": "batch",
    } | changes
    scaling = Scaling(bands=bands, mean=(0.2,) * len(bands), std=(0.15,) * len(bands))
    return ModelCard(
        name="tiny",
        family="unet",
        config=UNetConfig(**config),
        scaling=scaling,
        bands=bands,
        classes=("clear", "cloud"),
        foreground=(1,),
    )


@pytest.fixture
def model() -> SegmentationModel:
    return build_model(make_card(), seed=0)


@pytest.fixture
def model_card():
    return make_card
