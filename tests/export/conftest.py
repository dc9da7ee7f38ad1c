"""Tiny models and an in-memory cache for the export tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.export.vectors import smooth_image
from satsqueeze.nets.model import ModelCard, SegmentationModel, build_model
from satsqueeze.nets.students import lite_student, plain_student

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")


def make_model(family="unet", *, seed=0, **changes) -> SegmentationModel:
    """A small network with lively norms, so that classes vary and folding matters."""
    from dataclasses import replace

    config = {"unet": plain_student, "lite": lite_student}[family](4, 3, in_channels=4, classes=4)
    scaling = Scaling(bands=BANDS, mean=(0.5, 0.52, 0.55, 0.6), std=(0.2, 0.21, 0.22, 0.25))
    card = ModelCard(
        name=f"{family}-test",
        family="unet",
        config=replace(config, **changes),
        scaling=scaling,
        bands=BANDS,
        classes=CLASSES,
        foreground=(1, 2),
    )
    model = build_model(card, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model


def brightness_classes(image):
    """Classes by mean reflectance, so that a tiny network can learn them: uint8 (H, W)."""
    return np.digitize(image.mean(axis=0), (0.45, 0.6, 0.75)).astype(np.uint8)


def train(model, *, steps=40, seed=3):
    """Teach a model the brightness classes; a trained model has margins, which quantisation needs."""
    generator = np.random.default_rng(seed)
    images = np.stack([smooth_image(channels=4, height=64, width=64, generator=generator) for _ in range(8)])
    labels = torch.from_numpy(np.stack([brightness_classes(image) for image in images]).astype(np.int64))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.from_numpy(images)), labels).backward()
        optimiser.step()
    return model.eval()


class ImagesInMemory:
    """What export asks of a packed cache; bands in another order than the model's, and one more."""

    bands = ("nir", "swir16", "red", "green", "blue")

    def __init__(self, *, count=4, side=70, seed=1) -> None:
        generator = np.random.default_rng(seed)
        self.ids = tuple(f"item{i}" for i in range(count))
        images = [smooth_image(channels=5, height=side, width=side, generator=generator) for _ in range(count)]
        self._valid = np.ones((side, side), bool)
        self._valid[:3, :5] = False
        self._images = [image * self._valid for image in images]
        channels = [self.bands.index(band) for band in BANDS]
        self._labels = [np.where(self._valid, brightness_classes(i[channels]), 255).astype(np.uint8) for i in images]

    def position(self, id_):
        return self.ids.index(id_)

    def image(self, position):
        return self._images[position]

    def valid(self, position):
        return self._valid

    def label(self, position):
        return self._labels[position]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model():
    return train(make_model())


@pytest.fixture(scope="session")
def cache():
    return ImagesInMemory()
