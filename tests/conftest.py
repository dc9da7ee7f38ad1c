"""Tiles of three classes and tiny classifiers, for tests of whole images in any room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from rasterio import Affine
from torch import nn

from satsqueeze.nets import card as cards

TILES_CARD = """
name: tiles
task: classification
bands: [red, green, blue]
images: '{above}{label:[a-z]+}/{name}.tif'
label_kind: path
classes: [field, forest, water]
foreground: []
scale: 0.0001
"""


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Sums in another order are other bits, and threads of two test processes wait for one another."""
    torch.set_num_threads(1)


def _write_tiles(root, *, side, each, spread, gain):
    """Tiles of three classes, each brighter by ``gain`` in a band of its own, over noise of ``spread``."""
    generator = np.random.default_rng(0)
    profile = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint16", "crs": "EPSG:32631"}
    for value, name in enumerate(("field", "forest", "water")):
        (root / name).mkdir(parents=True)
        for number in range(each):
            tile = generator.normal(1000, spread, (3, side, side))
            tile[value] += gain
            place = root / name / f"{name}_{number:02}.tif"
            with rasterio.open(place, "w", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as target:
                target.write(tile.clip(1).astype(np.uint16))
    (root / "dataset.yaml").write_text(TILES_CARD)
    return root


@pytest.fixture(scope="session")
def write_tiles():
    return _write_tiles


@pytest.fixture
def small_zoo(monkeypatch):
    """Puts networks of some hundred weights in place of the zoo's: so wide by name, of so many cells per side."""

    def put(width_of=lambda _: 8, *, cells=2):
        def build(config):
            width = width_of(config.model)
            return nn.Sequential(
                nn.Conv2d(config.in_channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.AvgPool2d(config.size // cells),
                nn.Flatten(),
                nn.Dropout(config.dropout),
                nn.Linear(cells**2 * width, config.classes),
            )

        monkeypatch.setitem(cards.FAMILIES, "zoo", replace(cards.FAMILIES["zoo"], build=build))

    return put
