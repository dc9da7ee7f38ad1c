"""Tiny models and an in-memory cache for the export tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.export.vectors import smooth_image
from satsqueeze.nets.model import ModelCard, SegmentationModel, build_model
from satsqueeze.nets.unet_config import UNetConfig

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")
_PLAIN = UNetConfig(
    in_channels=4,
    classes=4,
    features=(4, 8, 16),
    strides=(1, 2, 2),
    convs_encoder=(2, 2, 2),
    convs_decoder=(2, 2),
    norm="batch",
    activation="relu",
    downsample="maxpool",
)
KINDS = {
    "unet": _PLAIN,
    "lite": replace(
        _PLAIN,
        convs_encoder=(1, 2, 2),
        convs_decoder=(1, 1),
        downsample="stride",
        stem=2,
        skip="add",
        upsample="nearest",
    ),
}


@torch.no_grad()
def build(family="unet", *, seed=0, **changes) -> SegmentationModel:
    """A small network with lively norms, balanced classes and clear decisions, as training would give."""
    config = KINDS[family]
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
    image = smooth_image(channels=4, height=64, width=64, generator=np.random.default_rng(seed))
    head, logits = _last_convolution(model, torch.from_numpy(image[None]))
    spread, transposed = logits.std(dim=(0, 2, 3)), isinstance(head, torch.nn.ConvTranspose2d)
    head.bias.sub_(logits.mean(dim=(0, 2, 3))).div_(spread).mul_(4)
    head.weight.div_(spread[:, None, None] if transposed else spread[:, None, None, None]).mul_(4)
    return model


def _last_convolution(model, image):
    """The module that makes the logits, and the logits."""
    executed = []
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    handles = [
        module.register_forward_hook(lambda module, *_: executed.append(module))
        for module in model.modules()
        if isinstance(module, kinds)
    ]
    logits = model(image)
    for handle in handles:
        handle.remove()
    return executed[-1], logits


class ImagesInMemory:
    """What export asks of a packed cache; bands in another order than the model's, and one more."""

    bands = ("nir", "swir16", "red", "green", "blue")

    def __init__(self, *, count=4, side=70, seed=1, labelled=True) -> None:
        generator = np.random.default_rng(seed)
        self.ids = tuple(f"item{i}" for i in range(count))
        images = [smooth_image(channels=5, height=side, width=side, generator=generator) for _ in range(count)]
        self._valid = np.ones((side, side), bool)
        self._valid[:3, :5] = False
        self._images = [image * self._valid for image in images]
        channels = [self.bands.index(band) for band in BANDS]
        mean = [image[channels].mean(axis=0) for image in self._images]
        label = [np.digitize(m, (0.45, 0.6, 0.75)) for m in mean]
        self._labels = [np.where(self._valid, one if labelled else 255, 255).astype(np.uint8) for one in label]

    def position(self, id_):
        return self.ids.index(id_)

    def image(self, position):
        return self._images[position]

    def valid(self, position):
        return self._valid

    def label(self, position):
        return self._labels[position]


@pytest.fixture(scope="session")
def make_model():
    """``make_model(family="unet", seed=0, **config changes)``."""
    return build


@pytest.fixture(scope="session")
def make_cache():
    """``make_cache(count=4, side=70, seed=1, labelled=True)``."""
    return ImagesInMemory


@pytest.fixture(scope="session")
def model():
    return build()


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """A model's flight graph and the ONNX file made of it."""
    path = tmp_path_factory.mktemp("exported") / "fp32.onnx"
    graph = flight_graph(model)
    export_fp32(graph, path, metadata={"key": "value"})
    return graph, path


@pytest.fixture(scope="session")
def windows():
    """Float32 reflectance (4, 64, 64) each."""
    generator = np.random.default_rng(5)
    return [smooth_image(channels=4, height=64, width=64, generator=generator) for _ in range(4)]
