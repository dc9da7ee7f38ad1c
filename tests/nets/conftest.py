"""Models in any shape, for the tests of this room."""

from __future__ import annotations

import pytest

from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model
from satsqueeze.nets.unet_config import UNetConfig

NAMES = ("blue", "green", "red", "nir", *(f"band{i}" for i in range(5, 14)))


@pytest.fixture
def card_of():
    """A card around a config."""

    def make(config, *, family="unet", normalisation="dataset", name="test"):
        bands = NAMES[: config.in_channels]
        scaling = Scaling(
            bands=bands,
            mean=tuple(0.1 + 0.01 * i for i in range(len(bands))),
            std=tuple(0.2 + 0.01 * i for i in range(len(bands))),
        )
        classes = tuple(f"class {i}" for i in range(config.classes))
        return ModelCard(
            name=name,
            family=family,
            config=config,
            scaling=scaling,
            bands=bands,
            classes=classes,
            foreground=(config.classes - 1,),
            normalisation=normalisation,
        )

    return make


@pytest.fixture
def model_of(card_of):
    """A seeded model around a config."""

    def make(config, *, seed=0, **kwargs):
        return build_model(card_of(config, **kwargs), seed)

    return make


@pytest.fixture
def planned():
    """What nnU-Net plans for square patches: (stages, encoder) -> config; full size unless `top` says otherwise."""

    def make(stages, encoder="plain", *, in_channels=4, classes=2, base=32, top=512, deep_supervision=True):
        plain = encoder == "plain"
        return UNetConfig(
            in_channels=in_channels,
            classes=classes,
            features=tuple(min(top, base << stage) for stage in range(stages)),
            strides=(1,) + (2,) * (stages - 1),
            convs_encoder=(2,) * stages if plain else (1, 3, 4, 6, 6, 6, 6, 6)[:stages],
            convs_decoder=((2,) if plain else (1,)) * (stages - 1),
            encoder=encoder,
            deep_supervision=deep_supervision,
        )

    return make
